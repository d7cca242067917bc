"""From evidence to results, metric by metric: a pure function of the evidence and the design."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from identity_masker.experiments import boundaries
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.evidence import Evidence, MetricEvidence, Reading
from identity_masker.experiments.metric import Metric
from identity_masker.experiments.plan import traffic_of
from identity_masker.experiments.result import Bounds, Look, MetricResult, Verdict
from identity_masker.statistics import bayes, multiple
from identity_masker.statistics.plans import conditional_power
from identity_masker.statistics.samples import Floats
from identity_masker.statistics.sequential import asymptotic_half_width, asymptotic_p_value, sequential_p_value

# A look that adds less than this share of the information is taken together with the next.
LEAST_GAIN = 1e-4
UNITS_WITHOUT_PLAN = 10_000.0


@dataclass(frozen=True)
class Series:
    """The readings of one metric and treatment that can be used, as a test looked at again and again.

    `alpha` is what the scheduled looks may spend.
    """

    experiment: Experiment
    evidence: MetricEvidence
    alpha: float
    n_tuned: float

    @cached_property
    def readings(self) -> tuple[Reading, ...]:
        """Readings at scheduled looks whose information has grown; the last of them always counts."""
        usable = [each for each in self.evidence.looks if each.problem is None]
        kept: list[Reading] = []
        for each in usable:
            while kept and _information(each) <= _information(kept[-1]) * (1.0 + LEAST_GAIN):
                kept.pop()
            kept.append(each)
        return tuple(kept)

    @cached_property
    def z(self) -> Floats:
        """Estimates as standard normal scores: Student's tail probability, turned into z."""
        return np.array([z_score(each) for each in self.readings])

    @cached_property
    def information(self) -> Floats:
        return np.array([_information(each) for each in self.readings])

    @cached_property
    def clock(self) -> Floats:
        """Share of the scheduled days at each look: alpha is spent by the calendar, fixed in advance."""
        return np.array([each.day / self.experiment.schedule.days for each in self.readings])

    @cached_property
    def bounds(self) -> Floats:
        """Two-sided critical z at each look."""
        if self.experiment.analysis.method == "always_valid":
            return np.array([boundaries.any_time_z(_units(each), self.alpha, self.n_tuned) for each in self.readings])
        if self.experiment.analysis.method == "fixed":
            return np.full(len(self.readings), stats.norm.isf(self.alpha / 2.0))
        return boundaries.spending_bounds(self.experiment.analysis, self.information, self.clock, self.alpha)

    @property
    def final(self) -> bool:
        return bool(self.readings) and self.readings[-1].day >= self.experiment.schedule.days

    def p_value(self) -> float | None:
        """p-value of "no effect" that holds however many of the scheduled looks were taken."""
        if not self.readings:
            return None
        analysis = self.experiment.analysis
        if analysis.method == "fixed":
            return float(2.0 * stats.norm.sf(abs(self.z[-1])))
        if analysis.method == "always_valid":
            return min(
                asymptotic_p_value(float(z), _units(each), self.alpha, self.n_tuned)
                for z, each in zip(self.z, self.readings, strict=True)
            )
        if len(self.readings) == 1 and self.final:
            return float(2.0 * stats.norm.sf(abs(self.z[-1])))
        return sequential_p_value(self.z, self.information, analysis.spending, planned=1.0, spending_time=self.clock)

    def interval(self, at: int = -1) -> Bounds:
        """Repeated confidence interval at a look."""
        each = self.readings[at]
        return around(each, float(self.bounds[at]))

    def looks(self) -> tuple[Look, ...]:
        return tuple(
            Look(
                day=each.day,
                time=float(self.clock[at]),
                units=_units(each),
                estimate=each.estimate or 0.0,
                interval=self.interval(at),
                z=float(self.z[at]),
                boundary=_finite(float(self.bounds[at])),
            )
            for at, each in enumerate(self.readings)
        )


def analyse(experiment: Experiment, evidence: Evidence) -> tuple[MetricResult, ...]:
    """Results of all metrics and treatments. Numbers that cannot be told are None, with the reason in `status`."""
    alphas = boundaries.split(experiment)
    tuned = experiment.analysis.n_tuned or _planned_units(experiment)
    results = [_result(experiment, experiment.metric(each.name), each, alphas, tuned) for each in evidence.metrics]
    return tuple(_adjusted(experiment, results))


def z_score(each: Reading) -> float:
    """The estimate in standard errors, corrected for their being estimated."""
    t = (each.estimate or 0.0) / (each.standard_error or math.nan)
    degrees = each.degrees or math.inf
    size = float(-stats.norm.ppf(stats.t.sf(abs(t), degrees))) if math.isfinite(degrees) else abs(t)
    # Beyond what a double can hold as a tail probability Student's correction no longer matters.
    return math.copysign(size if math.isfinite(size) else abs(t), t)


def around(each: Reading, bound: float) -> Bounds:
    """Interval of the reading with critical z `bound`; None for an end at infinity."""
    if not math.isfinite(bound):
        return None, None
    tail = float(stats.norm.sf(bound))
    degrees = each.degrees or math.inf
    critical = float(stats.t.isf(tail, degrees)) if tail > 0.0 and math.isfinite(degrees) else bound
    half = critical * (each.standard_error or math.nan)
    return (each.estimate or 0.0) - half, (each.estimate or 0.0) + half


def _result(
    experiment: Experiment, metric: Metric, found: MetricEvidence, alphas: boundaries.Alphas, tuned: float
) -> MetricResult:
    series = Series(experiment, found, alphas.scheduled, tuned)
    last = series.readings[-1] if series.readings else None
    shown = last or found.latest
    usable = last is not None or (found.latest.problem is None and experiment.analysis.method != "group_sequential")
    if last is None and usable:
        # Fixed and always-valid analyses may read the data between looks; a scheduled one has nothing to say yet.
        early = found.model_copy(update={"looks": (found.latest,)})
        series = Series(experiment, early, alphas.scheduled, tuned)
        last = found.latest
    interval = series.interval() if last else None
    any_time = _any_time(found.latest, alphas.unscheduled, tuned)
    return MetricResult(
        name=metric.name,
        variant=found.variant,
        role=metric.role,
        kind=metric.kind,
        better=metric.better,
        scale=experiment.analysis.scale,
        status="ok" if last else (found.latest.problem or "before_the_first_look"),
        estimate=shown.estimate,
        interval=interval,
        p_value=_both(series.p_value(), _any_time_p(found.latest, alphas.unscheduled, tuned), alphas),
        p_adjusted=None,
        n=int(_units(shown)),
        n_control=int(shown.control_units),
        n_treatment=int(shown.treatment_units),
        control=shown.control,
        treatment=shown.treatment,
        standard_error=shown.standard_error,
        p_fixed=float(2.0 * stats.norm.sf(abs(z_score(last)))) if last else None,
        interval_any_time=any_time,
        margin=metric.margin,
        verdict=_verdict(metric, interval),
        final=found.latest.day >= experiment.schedule.days,
        winsorised_at=found.limit,
        looks=series.looks(),
        segments=found.segments,
        **_reading_of_bayes(experiment, metric, last),
        conditional_power=_conditional_power(experiment, metric, series, alphas),
    )


def _adjusted(experiment: Experiment, results: Sequence[MetricResult]) -> list[MetricResult]:
    """p-values of the goals corrected over all goals and treatments, and their verdicts by these."""
    goals = [at for at, each in enumerate(results) if each.role == "goal"]
    # A hypothesis without a result still counts: leaving it out would make the others easier to reject.
    p = np.array([1.0 if results[at].p_value is None else results[at].p_value for at in goals])
    method = experiment.analysis.correction
    corrected = {"holm": multiple.holm, "benjamini_hochberg": multiple.benjamini_hochberg}.get(method, np.asarray)(p)
    final = list(results)
    for at, adjusted in zip(goals, corrected, strict=True):
        each = results[at]
        if each.p_value is None:
            continue
        sign = -1.0 if each.better == "lower" else 1.0
        verdict: Verdict = each.verdict
        if verdict != "worse":
            verdict = (
                "better" if adjusted <= experiment.analysis.alpha and (each.estimate or 0) * sign > 0 else "undecided"
            )
        final[at] = each.model_copy(update={"p_adjusted": float(adjusted), "verdict": verdict})
    return final


def _verdict(metric: Metric, interval: Bounds | None) -> Verdict:
    """What the interval says on its own."""
    if interval is None:
        return "no_result"
    low, high = (_or_infinite(end, sign) for end, sign in zip(interval, (-1.0, 1.0), strict=True))
    if metric.lower_is_better:
        low, high = -high, -low
    if metric.margin is None:
        return "better" if low > 0.0 else "worse" if high < 0.0 else "undecided"
    return "non_inferior" if low > -metric.margin else "inferior" if high < -metric.margin else "undecided"


def _any_time(each: Reading, alpha: float, tuned: float) -> Bounds | None:
    if not alpha or each.problem is not None:
        return None
    units = _units(each)
    half = asymptotic_half_width((each.standard_error or 0.0) * math.sqrt(units), units, alpha, tuned)
    return (each.estimate or 0.0) - half, (each.estimate or 0.0) + half


def _any_time_p(each: Reading, alpha: float, tuned: float) -> float | None:
    if not alpha or each.problem is not None:
        return None
    return asymptotic_p_value(z_score(each), _units(each), alpha, tuned)


def _both(scheduled: float | None, any_time: float | None, alphas: boundaries.Alphas) -> float | None:
    """One p-value from both uses of alpha: each is scaled by its part of it."""
    whole = alphas.scheduled + alphas.unscheduled
    parts = []
    if scheduled is not None:
        parts.append(scheduled * whole / alphas.scheduled)
    if any_time is not None:
        parts.append(any_time * whole / alphas.unscheduled)
    return min(1.0, *parts) if parts else None


def _reading_of_bayes(experiment: Experiment, metric: Metric, last: Reading | None) -> dict[str, float | None]:
    if last is None or last.estimate is None or last.standard_error is None:
        return {"chance_to_win": None, "expected_loss": None}
    prior = experiment.analysis.prior_sd or math.inf
    belief = bayes.posterior(last.estimate, last.standard_error, 0.0, prior)
    return {
        "chance_to_win": belief.chance_to_win(lower_is_better=metric.lower_is_better),
        "expected_loss": belief.expected_loss(lower_is_better=metric.lower_is_better),
    }


def _conditional_power(
    experiment: Experiment, metric: Metric, series: Series, alphas: boundaries.Alphas
) -> float | None:
    """Power left to find the smallest effect that matters, given the data: what futility is judged by."""
    if metric.role != "goal" or metric.minimum_effect is None or not series.readings or series.final:
        return None
    last, time = series.readings[-1], float(series.clock[-1])
    drift = metric.minimum_effect / ((last.standard_error or math.nan) * math.sqrt(time))
    final = _final_bound(experiment, series, alphas.each)
    sign = -1.0 if metric.lower_is_better else 1.0
    return conditional_power(sign * float(series.z[-1]), time, drift, final)


def _final_bound(experiment: Experiment, series: Series, alpha: float) -> float:
    """The critical z at the end, were the looks to come to bring as much information a day as those so far."""
    if experiment.analysis.method != "group_sequential":
        if experiment.analysis.method == "fixed":
            return float(stats.norm.isf(alpha / 2.0))
        return boundaries.any_time_z(_units(series.readings[-1]) / float(series.clock[-1]), alpha, series.n_tuned)
    days = experiment.schedule.days
    to_come = [day for day in boundaries.look_days(experiment) if day > series.readings[-1].day]
    rate = series.information[-1] / series.readings[-1].day
    information = np.append(series.information, rate * np.array(to_come))
    clock = np.append(series.clock, np.array(to_come) / days)
    return float(boundaries.spending_bounds(experiment.analysis, information, clock, alpha)[-1])


def _information(each: Reading) -> float:
    """Effective units of a comparison: 1 / (1/control + 1/treatment)."""
    return 1.0 / (1.0 / each.control_units + 1.0 / each.treatment_units)


def _units(each: Reading) -> float:
    return each.control_units + each.treatment_units


def _planned_units(experiment: Experiment) -> float:
    return traffic_of(experiment).total if experiment.schedule.units_per_day else UNITS_WITHOUT_PLAN


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _or_infinite(end: float | None, sign: float) -> float:
    return sign * math.inf if end is None else end
