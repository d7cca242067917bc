"""What to do with an experiment: a pure function of its health and its results."""

from __future__ import annotations

from collections.abc import Sequence

from identity_masker.experiments.design import Experiment
from identity_masker.experiments.result import Decision, Health, MetricResult


def decide(experiment: Experiment, health: Health, results: Sequence[MetricResult], day: int) -> Decision:
    """The decision after `day` whole days of entry.

    Order: before the first day is over there is nothing to judge; bad health gives no winner; missing data wait; harm
    stops; a winner ships when every guardrail is shown to be non-inferior and the least number of days is over; then
    futility, the end, or another day.
    """
    vetoed = tuple(variant for variant in experiment.treatments if _harms(results, variant))
    if day < 1:
        return _decision("incomplete", "No result yet: the first day of entry is not over.", [], ())
    if set(health.faults) - {"completeness"}:
        said = [_health_line(health, name) for name in health.faults]
        return _decision("unhealthy", f"No result: {said[0]}.", said, vetoed)
    if health.faults:
        said = [health.completeness.message]
        return _decision("incomplete", f"No result yet: {said[0]}.", said, vetoed)
    harm = [line for variant in vetoed for line in _harms(results, variant)]
    if experiment.stop.harm and len(vetoed) == len(experiment.treatments):
        return _decision("stop_harm", f"Stop: {harm[0]}.", harm, vetoed)
    winners = [variant for variant in experiment.treatments if variant not in vetoed and _wins(results, variant)]
    cleared = [variant for variant in winners if not _open_guardrails(results, variant)]
    if cleared and day >= experiment.schedule.minimum_days:
        return _ship(experiment, results, cleared, vetoed)
    if all(each.final for each in results):
        return _at_the_end(results, winners, harm, vetoed)
    if _futile(experiment, results, vetoed):
        line = "what is left of the experiment would hardly find the smallest effect that matters"
        return _decision("stop_futility", f"Stop: {line}.", [line, *harm], vetoed)
    return _go_on(experiment, results, cleared, winners, harm, vetoed, day)


def _ship(
    experiment: Experiment, results: Sequence[MetricResult], cleared: Sequence[str], vetoed: tuple[str, ...]
) -> Decision:
    first = experiment.goals[0].name

    def chance(variant: str) -> float:
        return next((each.chance_to_win or 0.0 for each in _of(results, variant) if each.name == first), 0.0)

    winner = max(cleared, key=chance)
    wins = [_line(each) for each in _of(results, winner) if each.role == "goal" and each.verdict == "better"]
    return _decision("ship", f"Ship {winner}: {wins[0]}, and every guardrail holds.", wins, vetoed, winner)


def _at_the_end(
    results: Sequence[MetricResult], winners: Sequence[str], harm: Sequence[str], vetoed: tuple[str, ...]
) -> Decision:
    lines = [f"{name}: {', '.join(_open_guardrails(results, name))} not shown to be harmless" for name in winners]
    lines = lines or ["no goal was shown to be better"]
    return _decision("inconclusive", f"No winner at the end: {lines[0]}.", [*lines, *harm], vetoed)


def _go_on(
    experiment: Experiment,
    results: Sequence[MetricResult],
    cleared: Sequence[str],
    winners: Sequence[str],
    harm: Sequence[str],
    vetoed: tuple[str, ...],
    day: int,
) -> Decision:
    if cleared:
        line = f"{cleared[0]} leads, but only {day} of at least {experiment.schedule.minimum_days} days are over"
    elif winners:
        line = f"{winners[0]} leads, but {', '.join(_open_guardrails(results, winners[0]))} is still open"
    else:
        line = "nothing is settled yet"
    return _decision("go_on", f"Go on: {line}.", [line, *harm], vetoed)


def _harms(results: Sequence[MetricResult], variant: str) -> list[str]:
    bad = ("worse", "inferior")
    return [_line(each) for each in _of(results, variant) if each.role != "secondary" and each.verdict in bad]


def _wins(results: Sequence[MetricResult], variant: str) -> bool:
    return any(each.role == "goal" and each.verdict == "better" for each in _of(results, variant))


def _open_guardrails(results: Sequence[MetricResult], variant: str) -> list[str]:
    guards = [each for each in _of(results, variant) if each.role == "guardrail"]
    return [each.name for each in guards if each.verdict != "non_inferior"]


def _futile(experiment: Experiment, results: Sequence[MetricResult], vetoed: Sequence[str]) -> bool:
    """No goal of a treatment that is still in has the power left that the stop rule asks for."""
    limit = experiment.stop.futility
    goals = [each for each in results if each.role == "goal" and each.variant not in vetoed]
    if not limit or not goals:
        return False
    return all(
        each.verdict == "undecided" and each.conditional_power is not None and each.conditional_power < limit
        for each in goals
    )


def _of(results: Sequence[MetricResult], variant: str) -> list[MetricResult]:
    return [each for each in results if each.variant == variant]


def _line(each: MetricResult) -> str:
    unit = "%" if each.scale == "relative" else ""
    factor = 100.0 if each.scale == "relative" else 1.0

    def shown(value: float | None) -> str:
        return "∞" if value is None else f"{value * factor:+.3g}"

    low, high = each.interval or (None, None)
    text = f"{each.name} {each.verdict.replace('_', '-')} by {shown(each.estimate)}{unit}"
    return f"{text} ({shown(low)} to {shown(high)}{unit})"


def _health_line(health: Health, name: str) -> str:
    if name != "sample_ratio":
        return str(getattr(health, name).message)
    ratio = health.sample_ratio
    if ratio.unexpected_units:
        return f"{ratio.unexpected_units} units met a variant whose weight was 0"
    met, due = (", ".join(f"{n:,.0f}" for n in each) for each in (ratio.counts, ratio.expected))
    return f"the arms did not get their shares: {met} units instead of {due} (e-value {ratio.e_value:.3g})"


def _decision(
    outcome: str, sentence: str, reasons: Sequence[str], vetoed: tuple[str, ...], winner: str | None = None
) -> Decision:
    return Decision.model_validate(
        {"outcome": outcome, "winner": winner, "sentence": sentence, "reasons": tuple(reasons), "vetoed": vetoed}
    )
