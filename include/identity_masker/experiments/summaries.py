"""From one row a unit to sufficient statistics: moments by arm, day of entry, period and stratum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

from identity_masker.experiments.design import Experiment
from identity_masker.experiments.entries import Entries
from identity_masker.experiments.metric import Metric
from identity_masker.experiments.outcomes import Outcomes, columns_of, unit_query
from identity_masker.experiments.tables import quoted, scalar
from identity_masker.statistics.moments import Moments, merge


@dataclass(frozen=True)
class Cell:
    """Moments of one metric for the units of one arm that entered on one day, in one period and group."""

    arm: int
    day: int
    period: int
    group: str | None
    moments: Moments


@dataclass(frozen=True)
class Summary:
    """All cells of a metric: `cells` for the analysis, `segments` by attribute for exploration.

    `limit`: where values were winsorised.
    """

    metric: Metric
    cells: tuple[Cell, ...]
    segments: dict[str, tuple[Cell, ...]]
    limit: float | None = None

    def moments(self, arm: int, days: int, *, period: int | None = None, group: str | None = None) -> Moments:
        """Moments of the units of `arm` that entered on the first `days` days."""
        return total(
            self.cells, arm, days, columns_of(self.metric), period=period, group=group, any_group=group is None
        )


def total(
    cells: Iterable[Cell],
    arm: int,
    days: int,
    dimensions: int,
    *,
    period: int | None = None,
    group: str | None = None,
    any_group: bool = True,
) -> Moments:
    """Moments of the cells of `arm` in the first `days` days together."""
    chosen = (
        cell.moments
        for cell in cells
        if cell.arm == arm
        and cell.day < days
        and (period is None or cell.period == period)
        and (any_group or cell.group == group)
    )
    return merge(chosen, dimensions)


def summarise(
    connection: duckdb.DuckDBPyConnection, experiment: Experiment, entries: Entries, outcomes: Outcomes
) -> dict[str, Summary]:
    """Summaries of all metrics but quantiles, in one pass over the units."""
    metrics = [(at, metric) for at, metric in enumerate(experiment.metrics) if metric.kind != "quantile"]
    if not metrics:
        return {}
    source = unit_query(experiment, entries, outcomes)
    limits = {at: _limit(connection, source, at, metric) for at, metric in metrics}
    stratum = experiment.analysis.stratify_by
    groupings = [("arm", "day", "period", *([quoted(stratum)] if stratum else []))]
    groupings += [("arm", "day", quoted(name)) for name in experiment.analysis.segments]
    attributes = [quoted(name) for name in entries.attributes]
    keys = ["arm", "day", "period", *attributes]
    sets = ", ".join("(" + ", ".join(grouping) + ")" for grouping in dict.fromkeys(groupings))
    aggregates = [part for at, metric in metrics for part in aggregates_of(at, columns_of(metric))]
    marks = ", ".join(f"grouping({key})" for key in ("period", *attributes))
    clipped = _clipped(metrics, limits)
    rows = connection.execute(
        f"SELECT {', '.join(keys)}, {marks}, count(*), {', '.join(aggregates)} "  # noqa: S608
        f"FROM (SELECT {', '.join(keys)}, {', '.join(clipped)} FROM ({source})) GROUP BY GROUPING SETS ({sets})"
    ).fetchall()
    return {
        metric.name: _summary(metric, rows, len(keys), offset, entries.attributes, limits[at])
        for (at, metric), offset in zip(metrics, _offsets(metrics), strict=True)
    }


def _offsets(metrics: Sequence[tuple[int, Metric]]) -> list[int]:
    sizes = [len(aggregates_of(at, columns_of(metric))) for at, metric in metrics]
    return [sum(sizes[:k]) for k in range(len(sizes))]


def aggregates_of(at: int, dimensions: int) -> list[str]:
    """SQL for the means and (co)variances of the columns of metric number `at`."""
    names = [f"c{at}_{k}" for k in range(dimensions)]
    pairs = [(i, j) for i in range(dimensions) for j in range(i, dimensions)]
    return [f"avg({name})" for name in names] + [
        f"var_pop({names[i]})" if i == j else f"covar_pop({names[i]}, {names[j]})" for i, j in pairs
    ]


def _clipped(metrics: Sequence[tuple[int, Metric]], limits: dict[int, float | None]) -> list[str]:
    parts = []
    for at, metric in metrics:
        for k in range(columns_of(metric)):
            # The value of a ratio is capped, its denominator is not.
            capped = limits[at] is not None and not (metric.kind == "ratio" and k % 2 == 1)
            column = f"c{at}_{k}"
            parts.append(f"least({column}, {limits[at]!r}) AS {column}" if capped else column)
    return parts


def _limit(connection: duckdb.DuckDBPyConnection, source: str, at: int, metric: Metric) -> float | None:
    if metric.winsorise is None:
        return None
    if metric.winsorise.value is not None:
        return metric.winsorise.value
    query = f"SELECT quantile_cont(c{at}_0, {metric.winsorise.quantile}) FROM ({source})"  # noqa: S608
    found = scalar(connection, query)
    return None if found is None else float(found)


def _summary(
    metric: Metric,
    rows: Sequence[tuple[Any, ...]],
    keys: int,
    offset: int,
    attributes: Sequence[str],
    limit: float | None,
) -> Summary:
    cells: list[Cell] = []
    segments: dict[str, list[Cell]] = {}
    marks = 1 + len(attributes)
    for row in rows:
        arm, day, period, *values = row[:keys]
        absent = row[keys : keys + marks]
        count = row[keys + marks]
        found = moments_of(count, row[keys + marks + 1 + offset :], columns_of(metric))
        grouped = next((k for k in range(len(attributes)) if not absent[1 + k]), None)
        group = None if grouped is None else str(values[grouped]) if values[grouped] is not None else ""
        cell = Cell(int(arm), int(day), 0 if absent[0] else int(period), group, found)
        if not absent[0]:
            cells.append(cell)
        elif grouped is not None:
            segments.setdefault(attributes[grouped], []).append(cell)
    return Summary(metric, tuple(cells), {name: tuple(found) for name, found in segments.items()}, limit)


def moments_of(count: int, values: Sequence[float | None], dimensions: int) -> Moments:
    """Moments from the values of `aggregates_of`."""
    mean = np.array([value or 0.0 for value in values[:dimensions]])
    scatter = np.zeros((dimensions, dimensions))
    at = dimensions
    for i in range(dimensions):
        for j in range(i, dimensions):
            scatter[i, j] = scatter[j, i] = (values[at] or 0.0) * count
            at += 1
    return Moments(float(count), mean, scatter)
