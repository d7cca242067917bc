"""Are the numbers of an experiment to be believed? Asked before anything is read from them."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from identity_masker.experiments.design import Experiment
from identity_masker.experiments.evidence import Counts, Evidence, Interaction
from identity_masker.experiments.result import Check, Health, SampleRatio
from identity_masker.statistics import sample_ratio
from identity_masker.statistics.effects import Effect
from identity_masker.statistics.effects import interaction as difference_of_effects
from identity_masker.statistics.sequential import asymptotic_p_value

FINE = "in order"


def examine(experiment: Experiment, evidence: Evidence) -> Health:
    """All health checks of the evidence: a pure function."""
    ratio = _sample_ratio(experiment, evidence)
    checks = {
        "multiple_exposure": _multiple(experiment, evidence.counts),
        "completeness": _completeness(evidence),
        "arms": _arms(experiment, evidence),
        "invalid_data": _invalid(experiment, evidence.counts),
        "duplicates": _duplicates(evidence.counts),
        "before_exposure": _before(experiment, evidence.counts),
        "imbalance": _imbalance(experiment, evidence),
        "interaction": _interactions(experiment, evidence),
        "outcomes_found": _found(evidence.counts),
    }
    faults = [name for name, check in checks.items() if not check.ok and not check.warning]
    warnings = [name for name, check in checks.items() if not check.ok and check.warning]
    if not ratio.ok:
        faults.insert(0, "sample_ratio")
    return Health(ok=not faults, faults=tuple(faults), warnings=tuple(warnings), sample_ratio=ratio, **checks)


def _sample_ratio(experiment: Experiment, evidence: Evidence) -> SampleRatio:
    arms = len(experiment.variants)
    rows = [each for each in evidence.arms if sum(each.counts)]
    counts = np.array([each.counts for each in rows], dtype=np.float64).reshape(-1, arms)
    weights = np.array([each.weights for each in rows], dtype=np.float64).reshape(-1, arms)
    unexpected = int(counts[weights == 0.0].sum())
    counted = np.where(weights > 0.0, counts, 0.0)
    due = np.cumsum(counted.sum(axis=1, keepdims=True) * weights, axis=0)
    expected = due[-1] if len(rows) else np.zeros(arms)
    gaps = np.cumsum(counted, axis=0) / np.where(due > 0.0, due, 1.0) - (due > 0.0)
    p = sample_ratio.chi_square(counted.sum(axis=0), expected) if expected.sum() else 1.0
    path = sample_ratio.sequential_path(counts, weights) if len(rows) else None
    e = sample_ratio.sequential(counts, weights) if len(rows) else 1.0
    alpha = experiment.health.sample_ratio_alpha
    # Once below alpha the anytime p-value stays there: a fault does not heal by waiting.
    alarmed = path is not None and path.p_values[-1] <= alpha
    if len(rows) == 1:
        alarmed = alarmed or p < alpha
    return SampleRatio(
        ok=not alarmed and not unexpected,
        p_value=p,
        e_value=e,
        counts=tuple(int(n) for n in counts.sum(axis=0)),
        expected=tuple(float(n) for n in expected),
        unexpected_units=unexpected,
        p_values=tuple(float(each) for each in path.p_values) if path else (),
        deviations=tuple(tuple(float(gap) for gap in row) for row in gaps),
    )


def _multiple(experiment: Experiment, counts: Counts) -> Check:
    total = counts.units + counts.multiple_exposure
    share = counts.multiple_exposure / total if total else 0.0
    limit = experiment.health.multiple_exposure_share
    message = f"{counts.multiple_exposure:,} of {total:,} units met more than one variant; they are left out"
    if share > limit:
        return Check(ok=False, message=f"{message}, and are more than {limit:.1%}", value=share)
    return Check(ok=not counts.multiple_exposure, warning=True, message=message, value=share)


def _completeness(evidence: Evidence) -> Check:
    missing, hours = evidence.missing_days, evidence.missing_hours
    if hours:
        said = f"{len(hours)} hours of events are late or missing, the first {hours[0]:%Y-%m-%d %H:%M} UTC"
        return Check(ok=False, message=said, value=float(len(hours)))
    if not missing:
        return Check(ok=True, message=FINE, value=0.0)
    days = ", ".join(str(day + 1) for day in missing[:10])
    return Check(ok=False, message=f"no data, or hardly any, for day {days} since the start", value=float(len(missing)))


def _arms(experiment: Experiment, evidence: Evidence) -> Check:
    totals = [sum(each.counts[arm] for each in evidence.arms) for arm in range(len(experiment.variants))]
    empty = [name for name, total in zip(experiment.variants, totals, strict=True) if not total]
    if empty:
        return Check(ok=False, message=f"no unit met {', '.join(empty)}", value=float(len(empty)))
    return Check(ok=True, message=FINE, value=0.0)


def _invalid(experiment: Experiment, counts: Counts) -> Check:
    parts = [f"{n:,} of {name}" for name, n in sorted(counts.invalid_outcomes.items())]
    invalid = sum(counts.invalid_outcomes.values()) + counts.outcomes_without_unit
    share = invalid / counts.outcomes if counts.outcomes else 0.0
    exposed = counts.invalid_exposures / max(1, counts.exposures + counts.invalid_exposures)
    limit = experiment.health.invalid_share
    message = f"outcomes that are missing or not a finite number: {', '.join(parts) or 'none'}"
    message += (
        f"; {counts.outcomes_without_unit:,} outcomes and {counts.invalid_exposures:,} exposures without unit or time"
    )
    if share > limit or exposed > limit:
        return Check(ok=False, message=message, value=max(share, exposed))
    return Check(
        ok=not invalid and not counts.invalid_exposures, warning=True, message=message, value=max(share, exposed)
    )


def _duplicates(counts: Counts) -> Check:
    doubled = counts.duplicated_outcomes
    return Check(
        ok=not doubled,
        warning=True,
        message=f"{doubled:,} outcomes came twice and are counted once",
        value=float(doubled),
    )


def _before(experiment: Experiment, counts: Counts) -> Check:
    """Outcomes before exposure are what covariates are made of; without covariates they are strange."""
    early = counts.outcomes_before_exposure
    message = f"{early:,} outcomes happened before exposure; they enter as covariates or not at all"
    wanted = any(metric.covariate for metric in experiment.metrics)
    return Check(ok=wanted or not early, warning=True, message=message, value=float(early))


def _found(counts: Counts) -> Check:
    missing = ", ".join(counts.metrics_without_outcomes)
    if missing:
        return Check(ok=False, warning=True, message=f"no outcome at all for {missing}: is the name right?")
    return Check(ok=True, message=FINE)


def _imbalance(experiment: Experiment, evidence: Evidence) -> Check:
    """The arms may not differ in what was measured before exposure; a p-value that holds at every look."""
    found = [(each, each.imbalance) for each in evidence.metrics if each.imbalance is not None]
    alpha, worst, name = experiment.health.imbalance_alpha, 1.0, ""
    for each, gap in found:
        if not gap.standard_error:
            continue
        z = gap.estimate / gap.standard_error
        p = min(1.0, len(found) * asymptotic_p_value(z, gap.units, alpha, gap.units))
        if p < worst:
            worst, name = p, f"{each.name} ({each.variant})"
    if worst < alpha:
        return Check(ok=False, message=f"the arms differed before exposure in {name}", value=worst)
    return Check(ok=True, message=FINE if found else "no metric has a covariate", value=worst)


def _interactions(experiment: Experiment, evidence: Evidence) -> Check:
    limit = experiment.health.interaction_alpha
    worst, message = 1.0, FINE if evidence.interactions else "no other experiment was given"
    for other in evidence.interactions:
        shared = _dependence(other)
        if shared < experiment.health.imbalance_alpha:
            return Check(ok=False, message=f"units are not independent of {other.experiment}", value=shared)
        for name, p in _heterogeneity(other, limit, len(evidence.interactions)):
            if p < worst:
                worst, message = p, f"the effect on {name} depends on the variant of {other.experiment}"
    if worst < limit:
        return Check(ok=False, message=message, value=worst)
    return Check(ok=True, message=FINE if evidence.interactions else message, value=worst)


def _dependence(other: Interaction) -> float:
    table = np.array(other.counts, dtype=np.float64)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0] if table.size else table
    if min(table.shape, default=0) < 2:
        return 1.0
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def _heterogeneity(other: Interaction, alpha: float, others: int) -> list[tuple[str, float]]:
    """p-values, corrected for their number, of the differences of effects between the other's variants."""
    tests = []
    for name, readings in other.readings.items():
        usable = [each for each in readings if each.problem is None]
        for each in usable[1:]:
            pair = [
                Effect(
                    r.estimate or 0.0,
                    r.standard_error or math.nan,
                    r.degrees or math.inf,
                    r.control_units + r.treatment_units,
                )
                for r in (usable[0], each)
            ]
            gap = difference_of_effects(*pair)
            tests.append((name, asymptotic_p_value(gap.z, gap.units, alpha, gap.units)))
    return [(name, min(1.0, p * len(tests) * others)) for name, p in tests]
