"""What the units did: from outcomes to one row a unit, with the columns of every metric.

The columns of a metric are `c<index>_<k>`: the value; for a ratio also the denominator; then the same before
exposure when the metric has a covariate. Units without outcomes have 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import duckdb

from identity_masker.errors import BadInputError
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.entries import DAY_US, Entries, unit_columns
from identity_masker.experiments.metric import Metric
from identity_masker.experiments.tables import (
    EVENT_ID,
    OUTCOME,
    TIME,
    VALUE,
    Table,
    all_distinct,
    literal,
    microseconds,
    number,
    one,
    quoted,
    scalar,
)

COUNT = "count"
BEFORE = "_before"


@dataclass(frozen=True)
class Outcomes:
    """The relation `outcome` and what was found in it.

    `wide`: one column a metric (`v_<source>`, and `b_<source>` where a column holds the value before exposure); else
    rows (name, value). `happened` is the time, when `timed`. `invalid`: missing or not finite values by source.
    """

    wide: bool
    timed: bool
    distinct_units: bool
    rows: int
    duplicates: int
    invalid: dict[str, int]
    without_unit: int
    sources: tuple[str, ...]
    befores: tuple[str, ...]
    last: int | None


def collect(connection: duckdb.DuckDBPyConnection, experiment: Experiment, table: Table, entries: Entries) -> Outcomes:
    """Make the relation `outcome` from the file. Raises `BadInputError` for missing columns and unknown metrics."""
    unit = table.need(unit_columns(experiment), "unit")
    time = table.find(TIME)
    if time and not entries.timed:
        raise BadInputError("outcomes have times but exposures have none", got=table.path, fix="add a time to both")
    needed = sources_of(experiment)
    name = table.find(OUTCOME)
    long = name is not None and not any(table.find((source,)) for source in needed)
    source = _make_long(connection, table, unit, name, time) if long and name else None
    if source is None:
        source = _make_wide(connection, table, unit, time, needed)
    rows = int(scalar(connection, f"SELECT count(*) FROM {table.view}"))  # noqa: S608
    duplicates = _without_duplicates(connection, table, timed=time is not None)
    happened = "happened IS NULL OR " if time else ""
    last = scalar(connection, "SELECT max(happened) FROM outcome") if time else None
    return Outcomes(
        wide=not long,
        timed=time is not None,
        distinct_units=not long and time is None and all_distinct(connection, "unit", "outcome"),
        rows=rows,
        duplicates=duplicates,
        invalid=_invalid_long(connection, experiment) if long else _invalid_wide(connection, source),
        without_unit=int(scalar(connection, f"SELECT count(*) FROM outcome WHERE {happened}unit IS NULL")),  # noqa: S608
        sources=_names(connection) if long else source,
        befores=() if long else tuple(each for each in source if table.find((each + BEFORE,))),
        last=last,
    )


def columns_of(metric: Metric) -> int:
    """How many columns the metric has in the relation of units."""
    return (2 if metric.kind == "ratio" else 1) * (2 if metric.covariate else 1)


def unit_query(experiment: Experiment, entries: Entries, outcomes: Outcomes, *, keep_unit: bool = False) -> str:
    """SQL with one row a unit: arm, day, period, the attributes, and the columns of every metric but quantiles."""
    wanted = [(at, metric) for at, metric in enumerate(experiment.metrics) if metric.kind != "quantile"]
    attributes = [quoted(name) for name in entries.attributes]
    plain = outcomes.distinct_units and entries.distinct
    parts = ["arm", "day", "period", *attributes]
    if not plain:
        parts = [f"any_value({part}) AS {part}" for part in parts]
    if keep_unit:
        parts.append("e.unit AS unit")
    for at, metric in wanted:
        cells = metric_cells(experiment, metric, outcomes)
        parts += [f"{_summed(metric, *cell, plain=plain)} AS c{at}_{k}" for k, cell in enumerate(cells)]
    grouped = "" if plain else " GROUP BY e.unit"
    names = sorted({source for _, metric in wanted for source in _sources(metric)})
    only = f" WHERE name IN ({', '.join(map(literal, names)) or 'NULL'})" if not outcomes.wide else ""
    return (
        f"SELECT {', '.join(parts)} FROM entry e LEFT JOIN (SELECT * FROM outcome{only}) o ON o.unit = e.unit{grouped}"  # noqa: S608
    )


def metric_cells(experiment: Experiment, metric: Metric, outcomes: Outcomes) -> list[tuple[str, str]]:
    """(condition, value) in SQL of each column of the metric: after exposure, then before."""
    names = _sources(metric)
    after = _window(outcomes, metric.delay, experiment.window_of(metric))
    cells = [_cell(outcomes, metric, name, after, "v_") for name in names]
    if metric.kind == "ratio" and metric.denominator == COUNT:
        cells.append((cells[0][0], "1"))
    if metric.covariate:
        if outcomes.wide and not outcomes.timed:
            missing = sorted(set(names) - set(outcomes.befores))
            if missing:
                raise BadInputError(
                    f"metric {metric.name} has a covariate, but nothing was measured before exposure",
                    fix=f"add times, or columns {', '.join(name + BEFORE for name in missing)}, or drop the covariate",
                )
            cells += [_cell(outcomes, metric, name, "", "b_") for name in names]
        elif outcomes.timed:
            before = _window(outcomes, -metric.covariate, timedelta(0))
            cells += [_cell(outcomes, metric, name, before, "v_") for name in names]
        else:
            raise BadInputError(
                f"metric {metric.name} has a covariate, but outcomes have no times", fix="add times, or drop it"
            )
        if metric.kind == "ratio" and metric.denominator == COUNT:
            cells.append((cells[-1][0], "1"))
    return cells


def sources_of(experiment: Experiment) -> tuple[str, ...]:
    """The names of all outcomes that the experiment's metrics are made of."""
    return tuple(dict.fromkeys(source for metric in experiment.metrics for source in _sources(metric)))


def _sources(metric: Metric) -> list[str]:
    below = [metric.denominator] if metric.denominator and metric.denominator != COUNT else []
    return [metric.source, *below]


def _summed(metric: Metric, condition: str, value: str, *, plain: bool) -> str:
    """One cell over a unit's outcomes; with one row a unit (`plain`) nothing has to be summed."""
    if metric.kind == "proportion":
        if plain:
            return f"CASE WHEN ({condition}) AND {value} <> 0 THEN 1.0 ELSE 0.0 END"
        return f"coalesce(max(({value} <> 0)::INT) FILTER ({condition}), 0)::DOUBLE"
    if plain:
        return f"CASE WHEN {condition} THEN coalesce({value}, 0) ELSE 0 END"
    return f"coalesce(sum({value}) FILTER ({condition}), 0)::DOUBLE"


def _cell(outcomes: Outcomes, metric: Metric, source: str, window: str, prefix: str) -> tuple[str, str]:
    if outcomes.wide:
        value = quoted(prefix + source)
        return " AND ".join(filter(None, [f"{value} IS NOT NULL", window])), value
    # An event that happened counts, whether or not it came with a value; one with a broken value does not.
    value = {"count": "1", "proportion": "coalesce(o.value, 1)"}.get(metric.kind, "o.value")
    return " AND ".join(filter(None, [f"o.name = {literal(source)} AND NOT o.broken", window])), value


def _window(outcomes: Outcomes, begin: timedelta, end: timedelta) -> str:
    if not outcomes.timed:
        return ""
    low, high = (round(moment / timedelta(microseconds=1)) for moment in (begin, end))
    return f"o.happened >= e.entered + {low} AND o.happened < e.entered + {high}"


def _make_long(
    connection: duckdb.DuckDBPyConnection, table: Table, unit: str, name: str, time: str | None
) -> tuple[str, ...]:
    column = table.find(VALUE)
    value = number(table, column) if column else "1.0"
    given = f"nullif({quoted(column)}::VARCHAR, '') IS NOT NULL" if column else "false"
    happened = f", {microseconds(connection, table, time)} AS happened" if time else ""
    identity = table.find(EVENT_ID)
    extra = f", {quoted(identity)} AS event_id" if identity else ""
    connection.execute(
        f"CREATE TEMP VIEW outcome_row AS SELECT nullif({quoted(unit)}::VARCHAR, '') AS unit, "  # noqa: S608
        f"{quoted(name)}::VARCHAR AS name, {value} AS value, {given} AND {value} IS NULL AS broken{happened}{extra} "
        f"FROM {table.view}"
    )
    return ()


def _make_wide(
    connection: duckdb.DuckDBPyConnection, table: Table, unit: str, time: str | None, needed: tuple[str, ...]
) -> tuple[str, ...]:
    missing = [source for source in needed if not table.find((source,))]
    if missing:
        raise BadInputError(
            "outcomes do not hold all metrics",
            got=f"{table.path} with columns {', '.join(table.types)}",
            allowed="columns " + ", ".join(missing) + ", or rows with outcome and value",
        )
    parts = [f"{number(table, table.need((source,), source))} AS {quoted('v_' + source)}" for source in needed]
    befores = {source: table.find((source + BEFORE,)) for source in needed}
    parts += [f"{number(table, column)} AS {quoted('b_' + source)}" for source, column in befores.items() if column]
    happened = f", {microseconds(connection, table, time)} AS happened" if time else ""
    identity = table.find(EVENT_ID)
    extra = f", {quoted(identity)} AS event_id" if identity else ""
    connection.execute(
        f"CREATE TEMP VIEW outcome_row AS SELECT nullif({quoted(unit)}::VARCHAR, '') AS unit, "  # noqa: S608
        f"{', '.join(parts)}{happened}{extra} FROM {table.view}"
    )
    return needed


def _without_duplicates(connection: duckdb.DuckDBPyConnection, table: Table, *, timed: bool) -> int:
    """The relation `outcome`: `outcome_row` with events that came twice taken once; returns how many were dropped.

    Events are told apart by `event_id`, else by being equal in every field, which needs times: without, two equal
    rows may well be two events.
    """
    identified = table.find(EVENT_ID) is not None
    if not identified and not timed:
        connection.execute("CREATE TEMP VIEW outcome AS SELECT * FROM outcome_row")
        return 0
    fields = "event_id" if identified else "outcome_row"
    if all_distinct(connection, fields, "outcome_row"):
        connection.execute("CREATE TEMP VIEW outcome AS SELECT * FROM outcome_row")
        return 0
    chosen = "DISTINCT ON (event_id) *" if identified else "DISTINCT *"
    connection.execute(f"CREATE TEMP TABLE outcome AS SELECT {chosen} FROM outcome_row")  # noqa: S608
    before, after = (int(scalar(connection, f"SELECT count(*) FROM {each}")) for each in ("outcome_row", "outcome"))  # noqa: S608
    return before - after


def _invalid_long(connection: duckdb.DuckDBPyConnection, experiment: Experiment) -> dict[str, int]:
    found = connection.execute(
        "SELECT coalesce(name, ''), count(*) FILTER (broken), count(*) FILTER (value IS NULL) "
        "FROM outcome WHERE value IS NULL GROUP BY 1"
    ).fetchall()
    valued = {source for metric in experiment.metrics if _needs_values(metric) for source in _sources(metric)}
    counts = {str(name): int(missing if name in valued else broken) for name, broken, missing in found}
    return {name: count for name, count in counts.items() if count}


def _needs_values(metric: Metric) -> bool:
    return metric.kind not in ("count", "proportion")


def _invalid_wide(connection: duckdb.DuckDBPyConnection, sources: tuple[str, ...]) -> dict[str, int]:
    counts = ", ".join(f"count(*) FILTER ({quoted('v_' + source)} IS NULL)" for source in sources)
    row = one(connection, f"SELECT {counts} FROM outcome")  # noqa: S608
    return {source: int(count) for source, count in zip(sources, row, strict=True) if count}


def _names(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    rows = connection.execute("SELECT DISTINCT name FROM outcome WHERE name IS NOT NULL LIMIT 10000").fetchall()
    return tuple(sorted(str(row[0]) for row in rows))


def before_exposure(connection: duckdb.DuckDBPyConnection) -> int:
    """Outcomes of units of the experiment that happened before their exposure."""
    return int(
        scalar(
            connection, "SELECT count(*) FROM outcome o JOIN entry e ON o.unit = e.unit WHERE o.happened < e.entered"
        )
    )


def rows_by_day(connection: duckdb.DuckDBPyConnection, start_us: int) -> dict[int, int]:
    """Outcome rows by day since the start."""
    query = f"SELECT (happened - {start_us}) // {DAY_US}, count(*) FROM outcome WHERE happened >= {start_us} GROUP BY 1"  # noqa: S608
    return {int(day): int(count) for day, count in connection.execute(query).fetchall()}
