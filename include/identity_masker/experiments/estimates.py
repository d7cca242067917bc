"""The effect of a treatment on a metric, from the summaries of the arms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from identity_masker.errors import BadInputError
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.evidence import GoalArm, Imbalance, Reading
from identity_masker.experiments.metric import Metric
from identity_masker.experiments.outcomes import columns_of
from identity_masker.experiments.summaries import Cell, Summary, total
from identity_masker.statistics.effects import (
    Effect,
    Level,
    adjusted_means,
    adjusted_ratios,
    difference,
    mean_level,
    ratio_level,
)
from identity_masker.statistics.moments import Moments
from identity_masker.statistics.strata import post_stratified

LevelPair = tuple[Level, Level]
CONTROL = 0


def weights_in(experiment: Experiment, period: int) -> tuple[float, ...]:
    """The weights of the variants after `period` weight changes."""
    if period == 0:
        return tuple(variant.weight for variant in experiment.variants.values())
    return tuple(experiment.weight_changes[period - 1].weights[name] for name in experiment.variants)


def reading(experiment: Experiment, summary: Summary, arm: int, days: int) -> Reading:
    """The metric's reading for the units that entered on the first `days` days.

    Never a number that only looks valid: an empty arm, a metric that does not vary and the like become a `problem`.
    """
    control, treatment = summary.moments(CONTROL, days), summary.moments(arm, days)
    bare = Reading(day=days, control_units=control.count, treatment_units=treatment.count)
    if min(control.count, treatment.count) == 0:
        return bare.model_copy(update={"problem": "empty_arm"})
    return read(
        bare, lambda: _effect(experiment, summary, arm, days), lambda: _levels(summary.metric, control, treatment)
    )


def read(bare: Reading, effect: Callable[[], Effect], levels: Callable[[], LevelPair]) -> Reading:
    """`bare` with the effect and the arms' values, or with what kept them from being computed."""
    try:
        pair = levels()
        found = effect()
    except BadInputError as error:
        return bare.model_copy(update={"problem": _word(error)})
    if not all(map(math.isfinite, found)):
        return bare.model_copy(update={"problem": "not_finite"})
    return bare.model_copy(
        update={
            "control": pair[0].plain,
            "treatment": pair[1].plain,
            "estimate": found.estimate,
            "standard_error": found.standard_error,
            "degrees": found.degrees,
        }
    )


def segment_reading(experiment: Experiment, summary: Summary, cells: Sequence[Cell], arm: int, group: str) -> Reading:
    """A reading within one group of an attribute, over all the cells given."""
    size, days = columns_of(summary.metric), max((cell.day for cell in cells), default=0) + 1
    control, treatment = (total(cells, each, days, size, group=group, any_group=False) for each in (CONTROL, arm))
    bare = Reading(day=days, control_units=control.count, treatment_units=treatment.count)
    if min(control.count, treatment.count) == 0:
        return bare.model_copy(update={"problem": "empty_arm"})

    def levels() -> LevelPair:
        return _levels(summary.metric, control, treatment)

    return read(bare, lambda: difference(*levels(), experiment.analysis.scale), levels)


def imbalance(experiment: Experiment, summary: Summary, arm: int, days: int) -> Imbalance | None:
    """Difference of the covariate between the arms; None without covariate or variance."""
    metric = summary.metric
    if metric.covariate is None:
        return None
    first = columns_of(metric) // 2
    before = metric.model_copy(update={"covariate": None})
    cells = tuple(
        Cell(cell.arm, cell.day, cell.period, cell.group, _columns(cell.moments, first)) for cell in summary.cells
    )
    try:
        found = _effect(experiment, Summary(before, cells, {}), arm, days, scale="absolute", stratified=False)
    except BadInputError:
        return None
    return Imbalance(estimate=found.estimate, standard_error=found.standard_error, units=found.units)


def goal_arms(experiment: Experiment, summary: Summary, days: int) -> tuple[GoalArm, ...]:
    """Each arm's own level, compared within periods of constant weights; empty when an arm cannot be told."""
    metric = summary.metric.model_copy(update={"covariate": None})
    size = columns_of(metric)
    periods = sorted({cell.period for cell in summary.cells if cell.day < days})
    arms = range(len(experiment.variants))
    parts = {(arm, period): summary.moments(arm, days, period=period) for arm in arms for period in periods}
    used = [period for period in periods if all(parts[arm, period].count >= 2 for arm in arms)]
    if not used:
        return ()
    weights = [
        sum(parts[arm, period].count for arm in arms) * math.sqrt(min(weights_in(experiment, period)))
        for period in used
    ]
    found = []
    for arm, name in enumerate(experiment.variants):
        levels = [_level(metric, _columns(parts[arm, period], 0, size)) for period in used]
        level = _combined(levels, weights) if sum(weights) else levels[-1]
        error = math.sqrt(level.variance)
        found.append(GoalArm(variant=name, units=level.units, value=level.value, standard_error=error))
    return tuple(found)


def _level(metric: Metric, arm: Moments) -> Level:
    return ratio_level(arm) if metric.kind == "ratio" else mean_level(arm)


def _columns(moments: Moments, first: int, last: int | None = None) -> Moments:
    return Moments(moments.count, moments.mean[first:last], moments.scatter[first:last, first:last])


def _effect(
    experiment: Experiment,
    summary: Summary,
    arm: int,
    days: int,
    *,
    scale: str | None = None,
    stratified: bool = True,
) -> Effect:
    wanted = scale or experiment.analysis.scale
    metric = summary.metric
    if stratified and experiment.analysis.stratify_by and metric.kind in ("mean", "count", "proportion"):
        groups = sorted({cell.group or "" for cell in summary.cells})
        pairs = [
            (summary.moments(CONTROL, days, group=group), summary.moments(arm, days, group=group)) for group in groups
        ]
        return post_stratified(pairs, wanted, adjusted=metric.covariate is not None)
    periods = sorted({cell.period for cell in summary.cells if cell.day < days})
    if len(periods) == 1:
        return difference(*_levels(metric, summary.moments(CONTROL, days), summary.moments(arm, days)), wanted)
    return difference(*_across_periods(experiment, summary, arm, days, periods), wanted)


def _across_periods(experiment: Experiment, summary: Summary, arm: int, days: int, periods: Sequence[int]) -> LevelPair:
    """Levels compared within periods of constant weights and put together with weights known beforehand.

    As in `statistics.adaptive`: unbiased when the weights followed the data, and free of what changes over time.
    """
    pairs, weights = [], []
    for period in periods:
        control, treatment = (summary.moments(each, days, period=period) for each in (CONTROL, arm))
        shares = weights_in(experiment, period)
        if min(control.count, treatment.count) < 2 or shares[CONTROL] * shares[arm] == 0.0:
            continue
        units = sum(summary.moments(each, days, period=period).count for each in range(len(experiment.variants)))
        pairs.append(_levels(summary.metric, control, treatment))
        weights.append(units * math.sqrt(shares[CONTROL] * shares[arm] / (shares[CONTROL] + shares[arm])))
    if not pairs:
        raise BadInputError("no period has two units in both arms", got=f"{len(periods)} periods")
    return _combined([pair[0] for pair in pairs], weights), _combined([pair[1] for pair in pairs], weights)


def _combined(levels: Sequence[Level], weights: Sequence[float]) -> Level:
    whole = sum(weights)
    shares = [weight / whole for weight in weights]

    def mean(of: Callable[[Level], float]) -> float:
        return sum(share * of(level) for share, level in zip(shares, levels, strict=True))

    def spread(of: Callable[[Level], float]) -> float:
        return sum(share**2 * of(level) for share, level in zip(shares, levels, strict=True))

    return Level(
        value=mean(lambda level: level.value),
        variance=spread(lambda level: level.variance),
        units=sum(level.units for level in levels),
        plain=mean(lambda level: level.plain),
        plain_variance=spread(lambda level: level.plain_variance),
        covariance=spread(lambda level: level.covariance),
    )


def _levels(metric: Metric, control: Moments, treatment: Moments) -> LevelPair:
    if metric.kind == "ratio":
        return (
            adjusted_ratios(control, treatment) if metric.covariate else (ratio_level(control), ratio_level(treatment))
        )
    if metric.covariate:
        return adjusted_means(control, treatment)
    return mean_level(control), mean_level(treatment)


def _word(error: BadInputError) -> str:
    """A short name for why there is no estimate."""
    words = {
        "neither arm varies": "zero_variance",
        "a relative effect needs a control that is not zero": "control_is_zero",
        "an arm has fewer than two units": "too_few_units",
        "a variance needs two units": "too_few_units",
        "the denominator of a ratio is zero": "denominator_is_zero",
        "too few values for this quantile": "too_few_values",
        "the quantile's variance cannot be told": "ties_at_the_quantile",
    }
    return words.get(error.what, error.what)
