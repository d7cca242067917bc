"""Who entered the experiment, when, and into which arm: from exposures to units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from identity_masker.errors import BadInputError
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.tables import (
    TIME,
    VARIANT,
    Table,
    all_distinct,
    literal,
    microseconds,
    one,
    quoted,
    scalar,
)

DAY_US = 86_400_000_000
ARM_BITS = 5


@dataclass(frozen=True)
class Entries:
    """The relation `entry` (unit, entered, arm, day, period, attributes) and what was found on the way to it.

    `day`: whole days since `start`, from 0. `period`: number of weight changes before the entry.
    `timed`: whether exposures have times; without, all units entered on day 0. `last_us`: the last entry.
    """

    start: datetime | None
    timed: bool
    distinct: bool
    exposures: int
    units: int
    invalid: int
    multiple: int
    outside: int
    last_us: int | None
    attributes: tuple[str, ...]

    @property
    def start_us(self) -> int:
        return microseconds_of(self.start) if self.start else 0


def enter(connection: duckdb.DuckDBPyConnection, experiment: Experiment, exposures: Table) -> Entries:
    """Make the relation `entry` from the exposures: each unit once, at its first exposure.

    Units that met two variants are left out and counted, as are exposures outside the schedule's days and rows
    without unit, variant or time. Raises `BadInputError` for missing columns and for variants that the design
    does not have.
    """
    unit = exposures.need(unit_columns(experiment), "unit")
    variant = exposures.need(VARIANT, "variant")
    time = exposures.find(TIME)
    _check_variants(connection, experiment, exposures, variant)
    attributes = _attributes(experiment, exposures)
    _make_exposure(connection, experiment, exposures, (unit, variant, time), attributes)
    valid = f"unit IS NOT NULL AND arm IS NOT NULL AND entered IS NOT NULL{_not_forced(exposures)}"
    total, good, first, invalid = one(
        connection,
        f"SELECT count(*), count(*) FILTER ({valid}), min(entered) FILTER ({valid}), "  # noqa: S608
        "count(*) FILTER (unit IS NULL OR arm IS NULL OR entered IS NULL) FROM exposure",
    )
    if not good:
        raise BadInputError("there is no exposure", got=f"{total} rows in {exposures.path}, none usable")
    distinct = all_distinct(connection, "unit", "exposure")
    start = _start(experiment, first) if time else None
    multiple = _make_units(connection, valid, attributes, distinct=distinct)
    inside = _make_entry(connection, experiment, start, attributes)
    units, outside, last = one(
        connection,
        f"SELECT count(*) FILTER ({inside}), count(*) FILTER (NOT ({inside})), max(entered) FILTER ({inside}) "  # noqa: S608
        "FROM first_exposure",
    )
    return Entries(
        start=start,
        timed=time is not None,
        distinct=distinct,
        exposures=int(good),
        units=int(units),
        invalid=int(invalid),
        multiple=multiple,
        outside=int(outside),
        last_us=last,
        attributes=attributes,
    )


def unit_columns(experiment: Experiment) -> tuple[str, ...]:
    """Names that the unit's column may have."""
    return (experiment.unit, f"{experiment.unit}_id", "unit", "unit_id", "id")


def microseconds_of(moment: datetime) -> int:
    """Microseconds since 1970, UTC; a moment without a zone is taken as UTC."""
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(zoned.timestamp() * 1e6)


def _check_variants(
    connection: duckdb.DuckDBPyConnection, experiment: Experiment, exposures: Table, variant: str
) -> None:
    found = connection.execute(
        f"SELECT DISTINCT {quoted(variant)}::VARCHAR FROM {exposures.view} LIMIT 1000"  # noqa: S608
    ).fetchall()
    strangers = sorted({str(row[0]) for row in found if row[0] is not None} - set(experiment.variants))
    if strangers:
        raise BadInputError(
            "exposures name variants that the design does not have",
            got=", ".join(strangers[:10]),
            allowed=", ".join(experiment.variants),
        )


def _attributes(experiment: Experiment, exposures: Table) -> tuple[str, ...]:
    wanted = list(experiment.analysis.segments)
    if experiment.analysis.stratify_by:
        wanted.append(experiment.analysis.stratify_by)
    return tuple(dict.fromkeys(exposures.need((name,), "attribute " + name) for name in wanted))


def _make_exposure(
    connection: duckdb.DuckDBPyConnection,
    experiment: Experiment,
    exposures: Table,
    columns: tuple[str, str, str | None],
    attributes: Sequence[str],
) -> None:
    unit, variant, time = columns
    arms = " ".join(f"WHEN {literal(name)} THEN {arm}" for arm, name in enumerate(experiment.variants))
    entered = microseconds(connection, exposures, time) if time else "0::BIGINT"
    forced = f", {_flag(exposures)} AS forced" if exposures.find(("forced",)) else ""
    extra = "".join(f", {quoted(name)}::VARCHAR AS {quoted(name)}" for name in attributes)
    connection.execute(
        f"CREATE TEMP VIEW exposure AS SELECT nullif({_text(exposures, unit)}, '') AS unit, {entered} AS entered, "  # noqa: S608
        f"(CASE {quoted(variant)}::VARCHAR {arms} END)::TINYINT AS arm{forced}{extra} FROM {exposures.view}"
    )


def _make_units(connection: duckdb.DuckDBPyConnection, valid: str, attributes: Sequence[str], *, distinct: bool) -> int:
    """The relation `first_exposure` (unit, entered, arm, attributes); returns the units with several variants."""
    extra = "".join(f", {quoted(name)}" for name in attributes)
    if distinct:
        connection.execute(
            f"CREATE TEMP VIEW first_exposure AS SELECT unit, entered, arm{extra} FROM exposure WHERE {valid}"  # noqa: S608
        )
        return 0
    earliest = "".join(f", arg_min({quoted(name)}, entered) AS {quoted(name)}" for name in attributes)
    # Time and arm in one number: one minimum gives the first exposure and its arm.
    connection.execute(
        f"CREATE TEMP TABLE seen AS SELECT unit, min(entered * {1 << ARM_BITS} + arm) AS code, "  # noqa: S608
        f"bit_or((1 << arm::INT)::INT) AS arms{earliest} FROM exposure WHERE {valid} GROUP BY unit"
    )
    connection.execute(
        f"CREATE TEMP VIEW first_exposure AS SELECT unit, code >> {ARM_BITS} AS entered, "  # noqa: S608
        f"(code & {(1 << ARM_BITS) - 1})::TINYINT AS arm{extra} FROM seen WHERE bit_count(arms) = 1"
    )
    return int(scalar(connection, "SELECT count(*) FROM seen WHERE bit_count(arms) > 1"))


def _make_entry(
    connection: duckdb.DuckDBPyConnection, experiment: Experiment, start: datetime | None, attributes: Sequence[str]
) -> str:
    """The relation `entry`; returns the condition on `first_exposure` for an entry inside the schedule."""
    extra = "".join(f", {quoted(name)}" for name in attributes)
    if start is None:
        connection.execute(
            f"CREATE TEMP VIEW entry AS SELECT unit, entered, arm, 0 AS day, 0 AS period{extra} FROM first_exposure"  # noqa: S608
        )
        return "true"
    begin = microseconds_of(start)
    inside = f"entered >= {begin} AND entered < {begin + experiment.schedule.days * DAY_US}"
    changes = " + ".join(f"(entered >= {microseconds_of(change.at)})::INT" for change in experiment.weight_changes)
    connection.execute(
        f"CREATE TEMP VIEW entry AS SELECT unit, entered, arm, ((entered - {begin}) // {DAY_US})::INT AS day, "  # noqa: S608
        f"({changes or '0'})::INT AS period{extra} FROM first_exposure WHERE {inside}"
    )
    return inside


def _start(experiment: Experiment, first: int) -> datetime:
    """The schedule's start, or the beginning of the day (UTC) of the first exposure."""
    if experiment.schedule.start is not None:
        return experiment.schedule.start
    return datetime.fromtimestamp(first // DAY_US * DAY_US / 1e6, tz=UTC)


def _not_forced(exposures: Table) -> str:
    return " AND NOT forced" if exposures.find(("forced",)) else ""


def _flag(exposures: Table) -> str:
    return f"coalesce(TRY_CAST({quoted(exposures.need(('forced',), 'forced'))} AS BOOLEAN), false)"


def _text(table: Table, column: str) -> str:
    name = quoted(column)
    return name if table.types[column].upper() in ("VARCHAR", "STRING") else f"{name}::VARCHAR"
