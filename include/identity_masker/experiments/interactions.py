"""Experiments that run side by side: do they share units independently, and does one change what the other does?"""

from __future__ import annotations

import duckdb

from identity_masker.experiments import tables
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.entries import Entries, unit_columns
from identity_masker.experiments.estimates import segment_reading
from identity_masker.experiments.evidence import Interaction, Reading
from identity_masker.experiments.metric import Metric
from identity_masker.experiments.outcomes import Outcomes, columns_of, unit_query
from identity_masker.experiments.summaries import Cell, Summary, aggregates_of, moments_of
from identity_masker.experiments.tables import literal, quoted

MOST_OTHERS = 50


def interactions(
    connection: duckdb.DuckDBPyConnection, experiment: Experiment, entries: Entries, outcomes: Outcomes, path: str
) -> tuple[Interaction, ...]:
    """One entry for each other experiment in the exposures at `path` (unit, experiment, variant)."""
    table = tables.opened(connection, "other_file", path)
    unit = quoted(table.need(unit_columns(experiment), "unit"))
    name = quoted(table.need(("experiment", "experiment_name"), "experiment"))
    variant = quoted(table.need(tables.VARIANT, "variant"))
    # A unit that met several variants there is in none of them.
    connection.execute(
        f"CREATE TEMP TABLE other AS SELECT {unit}::VARCHAR AS unit, {name}::VARCHAR AS experiment, "  # noqa: S608
        f"min({variant}::VARCHAR) AS there FROM {table.view} WHERE {name}::VARCHAR <> {literal(experiment.name)} "
        "GROUP BY 1, 2 HAVING min(variant) = max(variant)"
    )
    names = connection.execute(
        f"SELECT DISTINCT experiment FROM other ORDER BY 1 LIMIT {MOST_OTHERS}"  # noqa: S608
    ).fetchall()
    return tuple(_interaction(connection, experiment, entries, outcomes, str(row[0])) for row in names)


def _interaction(
    connection: duckdb.DuckDBPyConnection, experiment: Experiment, entries: Entries, outcomes: Outcomes, other: str
) -> Interaction:
    goals = [(at, m) for at, m in enumerate(experiment.metrics) if m.role == "goal" and m.kind != "quantile"]
    aggregates = [part for at, metric in goals for part in aggregates_of(at, columns_of(metric))]
    joined = unit_query(experiment, entries, outcomes, keep_unit=True)
    rows = connection.execute(
        f"SELECT u.arm, x.there, count(*){''.join(', ' + part for part in aggregates)} FROM ({joined}) u "  # noqa: S608
        f"JOIN other x ON x.unit = u.unit AND x.experiment = {literal(other)} GROUP BY 1, 2 ORDER BY 2, 1"
    ).fetchall()
    theres = sorted({str(row[1]) for row in rows})
    counts = [[0] * len(theres) for _ in experiment.variants]
    cells: dict[str, list[Cell]] = {metric.name: [] for _, metric in goals}
    for arm, there, count, *values in rows:
        counts[arm][theres.index(str(there))] = int(count)
        at = 0
        for _, metric in goals:
            size = columns_of(metric)
            cells[metric.name].append(Cell(int(arm), 0, 0, str(there), moments_of(int(count), values[at:], size)))
            at += len(aggregates_of(0, size))
    readings = {
        f"{metric.name}/{variant}": tuple(
            _reading(experiment, metric, cells[metric.name], arm, there) for there in theres
        )
        for _, metric in goals
        for arm, variant in enumerate(experiment.variants)
        if arm
    }
    return Interaction(experiment=other, counts=tuple(map(tuple, counts)), readings=readings)


def _reading(experiment: Experiment, metric: Metric, cells: list[Cell], arm: int, there: str) -> Reading:
    return segment_reading(experiment, Summary(metric, tuple(cells), {}), cells, arm, there)
