"""From the files of an experiment to its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from statistics import median

import duckdb

from identity_masker.experiments import boundaries, outcomes, tables
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.durations import DAY
from identity_masker.experiments.entries import Entries, enter
from identity_masker.experiments.estimates import (
    CONTROL,
    goal_arms,
    imbalance,
    read,
    reading,
    segment_reading,
    weights_in,
)
from identity_masker.experiments.evidence import ArmCounts, Counts, Evidence, GoalArm, MetricEvidence, Reading, Segment
from identity_masker.experiments.interactions import interactions
from identity_masker.experiments.metric import Metric
from identity_masker.experiments.outcomes import Outcomes
from identity_masker.experiments.quantile_data import quantile_level
from identity_masker.experiments.summaries import Summary, summarise
from identity_masker.statistics.effects import Level, difference

# A day with less than this share of the usual entries has lost some.
HARDLY_ANY = 0.2
MOST_GROUPS = 50


@dataclass(frozen=True)
class Source:
    """An opened experiment: everything the readings are made from."""

    connection: duckdb.DuckDBPyConnection
    experiment: Experiment
    entries: Entries
    outcomes: Outcomes
    as_of: datetime | None

    def mature_days(self, metric: Metric) -> int:
        """Days of entry whose window is over for the metric; all of them when the data have no times."""
        days = self.experiment.schedule.days
        if self.entries.start is None or self.as_of is None:
            return days
        window = self.experiment.window_of(metric) if self.outcomes.timed else timedelta(0)
        return max(0, min(days, (self.as_of - window - self.entries.start) // DAY))

    @property
    def entry_days(self) -> int:
        """Whole days of entry so far."""
        if self.entries.start is None or self.as_of is None:
            return self.experiment.schedule.days
        return max(0, min(self.experiment.schedule.days, (self.as_of - self.entries.start) // DAY))


def gather(
    experiment: Experiment,
    exposures: str,
    outcome_file: str,
    *,
    as_of: datetime | None = None,
    others: str | None = None,
    missing_hours: Sequence[datetime] = (),
) -> Evidence:
    """The evidence in the files at `as_of`.

    `as_of` is the time up to which the data are complete; by default the end of the day of the last outcome.
    `others`: exposures of other experiments (with a column `experiment`), to look for interactions.
    `missing_hours`: hours whose events are late or lost, for the evidence to name.
    """
    with tables.database() as connection:
        entries = enter(connection, experiment, tables.opened(connection, "exposure_file", exposures))
        table = tables.opened(connection, "outcome_file", outcome_file)
        found = outcomes.collect(connection, experiment, table, entries)
        source = Source(connection, experiment, entries, found, _as_of(entries, found, as_of))
        arms = _arms(source)
        summaries = summarise(connection, experiment, entries, found)
        return Evidence(
            experiment=experiment.name,
            timed=entries.timed,
            start=entries.start,
            as_of=source.as_of,
            days=source.entry_days,
            mature={metric.name: source.mature_days(metric) for metric in experiment.metrics},
            missing_days=_missing_days(source, arms),
            missing_hours=tuple(missing_hours),
            arms=arms,
            counts=_counts(source),
            metrics=tuple(_metrics(source, summaries)),
            interactions=interactions(connection, experiment, entries, found, others) if others else (),
            goal_arms=_goal_arms(source, summaries),
        )


def _goal_arms(source: Source, summaries: dict[str, Summary]) -> tuple[GoalArm, ...]:
    goal = source.experiment.goals[0]
    if goal.kind == "quantile":
        return ()
    return goal_arms(source.experiment, summaries[goal.name], source.mature_days(goal))


def _metrics(source: Source, summaries: dict[str, Summary]) -> Iterable[MetricEvidence]:
    broken = source.outcomes.invalid
    allowed = source.experiment.health.invalid_share * max(1, source.outcomes.rows)
    for metric in source.experiment.metrics:
        for arm, variant in enumerate(source.experiment.variants):
            if arm == CONTROL:
                continue
            found = _evidence(source, summaries, metric, arm, variant)
            names = (metric.source, metric.denominator or metric.source)
            if sum(broken.get(name, 0) for name in set(names)) > allowed:
                found = _refused(found, "invalid_values")
            yield found


def _evidence(source: Source, summaries: dict[str, Summary], metric: Metric, arm: int, variant: str) -> MetricEvidence:
    mature = source.mature_days(metric)
    if metric.kind == "quantile":
        latest = _quantile_reading(source, metric, arm, mature)
        looks = tuple(latest for day in boundaries.look_days(source.experiment) if day == mature)
        return MetricEvidence(name=metric.name, variant=variant, looks=looks, latest=latest)
    summary = summaries[metric.name]
    scheduled = boundaries.look_days(source.experiment) if source.entries.timed else [mature]
    days = [day for day in scheduled if day <= mature]
    taken = [reading(source.experiment, summary, arm, day) for day in days]
    latest = taken[-1] if days and days[-1] == mature else reading(source.experiment, summary, arm, mature)
    return MetricEvidence(
        name=metric.name,
        variant=variant,
        looks=tuple(taken),
        latest=latest,
        segments=tuple(_segments(source.experiment, summary, arm, mature)),
        imbalance=imbalance(source.experiment, summary, arm, mature),
        limit=summary.limit,
    )


def _quantile_reading(source: Source, metric: Metric, arm: int, days: int) -> Reading:
    units = [sum(each.counts[at] for each in _arms(source) if each.day < days) for at in (CONTROL, arm)]
    bare = Reading(day=days, control_units=units[0], treatment_units=units[1])
    if not min(units):
        return bare.model_copy(update={"problem": "empty_arm"})

    @cache
    def levels() -> tuple[Level, Level]:
        found = [
            quantile_level(source.connection, source.experiment, metric, source.outcomes, each, days)
            for each in (CONTROL, arm)
        ]
        return found[0], found[1]

    return read(bare, lambda: difference(*levels(), source.experiment.analysis.scale), levels)


def _segments(experiment: Experiment, summary: Summary, arm: int, days: int) -> Iterable[Segment]:
    for attribute, cells in summary.segments.items():
        inside = [cell for cell in cells if cell.day < days]
        groups = sorted({cell.group or "" for cell in inside})
        for group in groups[:MOST_GROUPS]:
            found = segment_reading(experiment, summary, inside, arm, group)
            yield Segment(attribute=attribute, value=group, reading=found)


def _refused(found: MetricEvidence, problem: str) -> MetricEvidence:
    def without(each: Reading) -> Reading:
        bare = Reading(day=each.day, control_units=each.control_units, treatment_units=each.treatment_units)
        return bare.model_copy(update={"problem": problem})

    return found.model_copy(
        update={"looks": tuple(map(without, found.looks)), "latest": without(found.latest), "segments": ()}
    )


def _arms(source: Source) -> tuple[ArmCounts, ...]:
    rows = source.connection.execute(
        "SELECT day, period, arm, count(*) FROM entry GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    counts: dict[tuple[int, int], list[int]] = {}
    for day, period, arm, count in rows:
        counts.setdefault((int(day), int(period)), [0] * len(source.experiment.variants))[int(arm)] = int(count)
    return tuple(
        ArmCounts(day=day, period=period, counts=tuple(found), weights=weights_in(source.experiment, period))
        for (day, period), found in counts.items()
        if day < source.entry_days or not source.entries.timed
    )


def _counts(source: Source) -> Counts:
    found, entries = source.outcomes, source.entries
    named = {metric.name: metric.source for metric in source.experiment.metrics}
    return Counts(
        exposures=entries.exposures,
        units=entries.units,
        invalid_exposures=entries.invalid,
        multiple_exposure=entries.multiple,
        outside_schedule=entries.outside,
        outcomes=found.rows,
        duplicated_outcomes=found.duplicates,
        invalid_outcomes=found.invalid,
        outcomes_without_unit=found.without_unit,
        outcomes_before_exposure=outcomes.before_exposure(source.connection) if found.timed else 0,
        metrics_without_outcomes=tuple(name for name, each in named.items() if each not in found.sources),
    )


def _as_of(entries: Entries, found: Outcomes, given: datetime | None) -> datetime | None:
    if entries.start is None:
        return None
    if given is not None:
        return given if given.tzinfo else given.replace(tzinfo=UTC)
    last = found.last if found.timed else entries.last_us
    if last is None:
        return entries.start
    days = (last - entries.start_us) // (DAY // timedelta(microseconds=1)) + 1
    return entries.start + max(0, days) * DAY


def _missing_days(source: Source, arms: tuple[ArmCounts, ...]) -> tuple[int, ...]:
    """Days without entries or with hardly any, and days without a single outcome while units were in their window."""
    if source.entries.start is None or source.as_of is None:
        return ()
    entered = [0] * source.entry_days
    for each in arms:
        entered[each.day] += sum(each.counts)
    usual = median(entered) if entered else 0
    missing = {day for day, count in enumerate(entered) if count < HARDLY_ANY * usual or count == 0}
    if source.outcomes.timed:
        seen = outcomes.rows_by_day(source.connection, source.entries.start_us)
        shortest = min(source.experiment.window_of(metric) for metric in source.experiment.metrics) // DAY
        until = min((source.as_of - source.entries.start) // DAY, source.experiment.schedule.days + shortest)
        missing |= {day for day in range(until) if not seen.get(day)}
    return tuple(sorted(missing))
