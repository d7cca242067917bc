"""Can the experiment answer its question? Sample size, detectable effect, days, and exact power of its own looks."""

from __future__ import annotations

import math
from typing import NamedTuple

from pydantic import BaseModel

from identity_masker.errors import BadInputError
from identity_masker.experiments import boundaries
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.durations import DAY
from identity_masker.experiments.metric import Metric, Role
from identity_masker.experiments.sizing import Sizing
from identity_masker.statistics.plans import SequentialPlan


class MetricPlan(BaseModel):
    """What the experiment can tell of one metric and one treatment.

    `effect` is the smallest effect that matters, for a guardrail its margin; `power` that to find it, for a guardrail
    to show that the harm is smaller. `average_share_of_sample`: what the looks use of the sample, if the effect is so.
    """

    name: str
    role: Role
    variant: str
    units_control: float
    units_treatment: float
    effect: float | None = None
    power: float | None = None
    power_with_futility: float | None = None
    detectable_effect: float | None = None
    units_needed: float | None = None
    days_needed: float | None = None
    average_share_of_sample: float | None = None
    reason: str | None = None


class Plan(BaseModel):
    """The plan of an experiment, and whether it can answer its question."""

    experiment: str
    answerable: bool
    reasons: list[str]
    method: str
    alpha: float
    alpha_scheduled: float
    alpha_unscheduled: float
    alpha_each: float
    looks: int
    days: int
    days_until_last_result: float
    units_per_day: float
    units: float
    information: list[float]
    z_bounds: list[float | None]
    futility_z: list[float | None]
    metrics: list[MetricPlan]


class Traffic(NamedTuple):
    """Units that enter in a day and in all."""

    daily: float
    total: float


def plan(experiment: Experiment, units_per_day: float | None = None) -> Plan:
    """The plan of `experiment`; `units_per_day` overrides the traffic that its file states.

    Raises `BadInputError` when there is no traffic to plan with.
    """
    traffic = traffic_of(experiment, units_per_day)
    alphas = boundaries.split(experiment)
    design = boundaries.designed(experiment, alphas.each, traffic.total)
    rows = [
        _metric_plan(experiment, metric, treatment, traffic)
        for metric in experiment.metrics
        if metric.role != "secondary" or (metric.baseline and metric.minimum_effect)
        for treatment in experiment.treatments
    ]
    reasons = _schedule_faults(experiment) + [row.reason for row in rows if row.reason and row.role != "secondary"]
    longest = max(experiment.window_of(metric) for metric in experiment.metrics)
    return Plan(
        experiment=experiment.name,
        answerable=not reasons,
        reasons=reasons,
        method=experiment.analysis.method,
        alpha=experiment.analysis.alpha,
        alpha_scheduled=alphas.scheduled,
        alpha_unscheduled=alphas.unscheduled,
        alpha_each=alphas.each,
        looks=design.information.size,
        days=experiment.schedule.days,
        days_until_last_result=experiment.schedule.days + longest / DAY,
        units_per_day=traffic.daily,
        units=traffic.total,
        information=[float(t) for t in design.information],
        z_bounds=[_finite(z) for z in design.upper],
        futility_z=_futility(experiment, design, rows, traffic),
        metrics=rows,
    )


def traffic_of(experiment: Experiment, units_per_day: float | None = None) -> Traffic:
    """The units that enter: all units a day, less targeting, coverage, layer slot and holdout."""
    everyone = units_per_day if units_per_day is not None else experiment.schedule.units_per_day
    if everyone is None or not (math.isfinite(everyone) and everyone > 0.0):
        raise BadInputError(
            "the plan needs the number of units a day",
            got=everyone,
            allowed="a number above zero",
            fix="set schedule.units_per_day, or pass --units-per-day",
        )
    low, high = experiment.layer.slot if experiment.layer else (0.0, 1.0)
    held = experiment.holdout.share if experiment.holdout else 0.0
    daily = everyone * experiment.schedule.eligible_share * experiment.coverage * (high - low) * (1.0 - held)
    return Traffic(daily, daily * experiment.schedule.days)


def futile_drift(experiment: Experiment, metric: Metric, treatment: str, units: float) -> float | None:
    """Expected z of a goal's smallest effect that matters when all `units` are in; None when it cannot be told."""
    if metric.minimum_effect is None or metric.baseline is None:
        return None
    sizing = _sizing(experiment, metric, treatment, units)
    effect = metric.minimum_effect * (-1.0 if metric.lower_is_better else 1.0)
    return metric.minimum_effect / sizing.standard_error(effect) if sizing.possible(effect) else None


def _metric_plan(experiment: Experiment, metric: Metric, treatment: str, traffic: Traffic) -> MetricPlan:
    weights = {name: variant.weight for name, variant in experiment.variants.items()}
    row = MetricPlan(
        name=metric.name,
        role=metric.role,
        variant=treatment,
        units_control=traffic.total * weights[experiment.control],
        units_treatment=traffic.total * weights[treatment],
    )
    if row.units_control == 0.0 or row.units_treatment == 0.0:
        return row.model_copy(update={"reason": f"{metric.name} ({treatment}): an arm has no units"})
    try:
        sizing = _sizing(experiment, metric, treatment, traffic.total)
    except BadInputError as error:
        return row.model_copy(update={"reason": str(error)})
    return row.model_copy(update=_found(experiment, sizing, treatment, traffic))


def _found(experiment: Experiment, sizing: Sizing, treatment: str, traffic: Traffic) -> dict[str, float | str | None]:
    metric, guard = sizing.metric, sizing.metric.role == "guardrail"
    alphas = boundaries.split(experiment)
    # All guardrails have to pass for a ship: that needs no correction of alpha (Schultzberg et al. 2024).
    design = boundaries.designed(experiment, alphas.scheduled if guard else alphas.each, traffic.total)
    needed = design.drift_for(experiment.analysis.power)
    sign = -1.0 if metric.lower_is_better else 1.0
    detectable = sizing.detectable(needed, 0.0 if guard else sign)
    found: dict[str, float | str | None] = {"detectable_effect": _finite(detectable)}
    target = metric.margin if guard else metric.minimum_effect
    if target is None:
        return found | {"reason": f"{metric.name}: states no minimum_effect, so no sample can be called enough"}
    effect = -sign * target if guard else sign * target
    if not guard and not sizing.possible(effect):
        return found | {"reason": f"{metric.name}: an effect of {effect:g} leads to a share outside 0 to 1"}
    drift = target / sizing.standard_error(0.0 if guard else effect)
    power = design.power(drift)
    units_needed = traffic.total * (needed / drift) ** 2
    days_needed = units_needed / traffic.daily + experiment.window_of(metric) / DAY
    futile = design if guard else with_futility(experiment, design, drift)
    found |= {
        "effect": effect,
        "power": power,
        "power_with_futility": futile.power(drift, obey_futility=True),
        "units_needed": units_needed,
        "days_needed": days_needed,
        "average_share_of_sample": design.average_information(drift),
    }
    if power >= experiment.analysis.power - 1e-9:
        return found
    what = "exclude a harm of" if guard else "find an effect of"
    reason = (
        f"{metric.name} ({treatment}): power {power:.2f} to {what} {target:g} in {experiment.schedule.days} days, "
        f"{experiment.analysis.power:g} was asked for; it takes {math.ceil(units_needed):,} units "
        f"({math.ceil(days_needed)} days), or {'a margin' if guard else 'an effect'} of {detectable:.3g}"
    )
    return found | {"reason": reason}


def with_futility(experiment: Experiment, design: SequentialPlan, drift: float) -> SequentialPlan:
    """`design` with the experiment's rule for futility, if it has one and looks more than once."""
    if not experiment.stop.futility or design.information.size == 1:
        return design
    return design.with_futility(drift, experiment.stop.futility)


def _futility(
    experiment: Experiment, design: SequentialPlan, rows: list[MetricPlan], traffic: Traffic
) -> list[float | None]:
    """z of the first goal below which the experiment would stop for futility at each look."""
    goal = next((row for row in rows if row.role == "goal" and row.power is not None), None)
    drift = goal and futile_drift(experiment, experiment.metric(goal.name), goal.variant, traffic.total)
    bounds = with_futility(experiment, design, drift).futility if drift else design.futility
    return [_finite(z) for z in bounds]


def _sizing(experiment: Experiment, metric: Metric, treatment: str, units: float) -> Sizing:
    weights = {name: variant.weight for name, variant in experiment.variants.items()}
    arms = units * weights[experiment.control], units * weights[treatment]
    return Sizing.of(metric, experiment.analysis.scale, *arms)


def _schedule_faults(experiment: Experiment) -> list[str]:
    minimum, days = experiment.schedule.minimum_days, experiment.schedule.days
    return [f"minimum_days {minimum} is more than the {days} days planned"] if minimum > days else []


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
