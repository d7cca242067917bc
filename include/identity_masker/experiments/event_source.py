"""The events of an experiment out of the event store, as the files that the analysis reads.

Hours that the store does not call whole are named: a day with late or missing data is incomplete, never smaller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.experiments import tables
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.durations import DAY
from identity_masker.experiments.outcomes import sources_of
from identity_masker.experiments.tables import literal, quoted, scalar
from identity_masker.serving.answers import SHADOW
from identity_masker.settings import settings
from identity_masker.telemetry.event_store import files, missing_hours
from identity_masker.telemetry.events.kinds import COLUMNS, Kind, Type

HOUR_US = 3_600_000_000
SQL: Mapping[Type, str] = {
    "text": "VARCHAR", "text?": "VARCHAR", "number": "DOUBLE", "number?": "DOUBLE",
    "integer": "BIGINT", "integer?": "BIGINT", "flag": "BOOLEAN",
}  # fmt: skip
READ: Mapping[Kind, tuple[str, ...]] = {
    "exposures": ("experiment", "unit", "variant", "forced", "attributes"),
    "outcomes": ("unit", "name", "value"),
    "requests": ("unit", "status", "latency_ms", "version", "experiments"),
}
# Outcomes that every request is, without anybody sending them: name → (value, rows that have it).
FROM_REQUESTS = {
    "masks": ("1.0", "status < 400"),
    "latency_ms": ("latency_ms", "status < 400"),
    "request_error": ("(status >= 500)::INT::DOUBLE", "true"),
}


@dataclass(frozen=True)
class Collected:
    """The files of one experiment and what is known of them.

    `start`: of the design, else the hour of the first exposure. `missing`: hours since then that are not complete in
    one of the kinds that the experiment needs. `units`: units with an exposure. `versions`: by variant, the model
    versions that answered its units.
    """

    exposures: str
    outcomes: str
    others: str | None
    start: datetime | None
    missing: tuple[datetime, ...]
    units: int
    versions: dict[str, tuple[str, ...]]


@contextmanager
def collected(experiment: Experiment, as_of: datetime) -> Iterator[Collected]:
    """The experiment's events before `as_of`, as files that exist while the context is open.

    Raises `BadInputError` for experiments on sessions: the event log knows users only.
    """
    if experiment.unit != "user":
        raise BadInputError("the event log names users only", got=f"unit: {experiment.unit}", allowed="unit: user")
    place = settings().home / "tmp"
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="experiment-", dir=place) as folder, tables.database() as connection:
        yield _collect(connection, experiment, as_of, Path(folder))


def _collect(connection: duckdb.DuckDBPyConnection, experiment: Experiment, as_of: datetime, folder: Path) -> Collected:
    store = settings().store
    if not artifacts.is_local(store):
        connection.register_filesystem(artifacts.split(store)[0])
    first = experiment.schedule.start or _first_day(store)
    begin = first or as_of
    _view(connection, store, "exposures", begin, as_of)
    start = experiment.schedule.start or _first_hour(connection, experiment)
    window = max(experiment.window_of(metric) for metric in experiment.metrics)
    # Without a start in the design, days are counted from the midnight before the first exposure: one day more.
    last = (experiment.schedule.days + (experiment.schedule.start is None)) * DAY + window
    until = min(as_of, start + last) if start else as_of
    before = max((metric.covariate or timedelta(0) for metric in experiment.metrics), default=timedelta(0))
    _view(connection, store, "outcomes", begin - before, until)
    _view(connection, store, "requests", begin - before, until)
    exposures, outcomes, others = (str(folder / f"{name}.parquet") for name in ("exposures", "outcomes", "others"))
    units = _write_exposures(connection, experiment, exposures)
    _write_outcomes(connection, experiment, outcomes)
    known = experiment.schedule.start or _first_hour(connection, experiment) or until
    missing = {hour for kind in _kinds(experiment) for hour in missing_hours(store, kind, known, until)}
    return Collected(
        exposures=exposures,
        outcomes=outcomes,
        others=others if _write_others(connection, experiment, others) else None,
        start=start,
        missing=tuple(sorted(missing)),
        units=units,
        versions=_versions(connection, experiment),
    )


def _kinds(experiment: Experiment) -> list[Kind]:
    """The kinds of events without which a day of the experiment is not whole."""
    wanted = set(sources_of(experiment))
    kinds: list[Kind] = ["exposures"]
    if wanted - set(FROM_REQUESTS):
        kinds.append("outcomes")
    if wanted & set(FROM_REQUESTS):
        kinds.append("requests")
    return kinds


def _view(connection: duckdb.DuckDBPyConnection, store: str, kind: Kind, start: datetime, end: datetime) -> None:
    """The events of [start, end) as the view `kind`. Raises `BadInputError` when they are not as agreed."""
    columns = {"event_id": "VARCHAR", "time": "TIMESTAMPTZ"}
    columns |= {name: SQL[COLUMNS[kind][name]] for name in READ[kind]}
    paths = files(store, kind, start, end) if start < end else []
    if not paths:
        empty = ", ".join(f"NULL::{sort} AS {quoted(name)}" for name, sort in columns.items())
        connection.execute(f"CREATE TEMP VIEW {kind} AS SELECT {empty} WHERE false")
        return
    chosen = ", ".join(f"{quoted(name)}::{sort} AS {quoted(name)}" for name, sort in columns.items())
    listed = ", ".join(literal(path.removeprefix("file://")) for path in paths)
    low, high = (literal(moment.astimezone(UTC).isoformat()) for moment in (start, end))
    stored = f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
    try:
        names = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {stored}").fetchall()}  # noqa: S608
        # A copy that went to a shadow is no request of a user; older files have no column `via`.
        asked = f" AND via IS DISTINCT FROM {literal(SHADOW)}" if "via" in names else ""
        connection.execute(
            f"CREATE TEMP VIEW {kind} AS SELECT {chosen} FROM {stored} "  # noqa: S608
            f"WHERE time >= {low}::TIMESTAMPTZ AND time < {high}::TIMESTAMPTZ{asked}"
        )
    except duckdb.Error as error:
        raise BadInputError(
            f"the stored {kind} cannot be read", got=str(error).splitlines()[0], allowed=f"columns {', '.join(columns)}"
        ) from error


def _write_exposures(connection: duckdb.DuckDBPyConnection, experiment: Experiment, path: str) -> int:
    """One row an exposure, with a column for every attribute that the analysis breaks results down by."""
    named = dict.fromkeys([*experiment.analysis.segments, experiment.analysis.stratify_by])
    extra = "".join(f", {_field('attributes', name)} AS {quoted(name)}" for name in named if name)
    own = f"FROM exposures WHERE experiment = {literal(experiment.name)}"
    _copy(connection, f"SELECT unit, variant, time, coalesce(forced, false) AS forced{extra} {own}", path)
    return int(scalar(connection, f"SELECT count(DISTINCT unit) {own} AND NOT coalesce(forced, false)"))


def _write_outcomes(connection: duckdb.DuckDBPyConnection, experiment: Experiment, path: str) -> None:
    """One row an outcome that a metric reads: those that were sent, and those that requests are by themselves."""
    wanted = sources_of(experiment)
    sent = ", ".join(literal(name) for name in wanted if name not in FROM_REQUESTS) or "NULL"
    parts = [f"SELECT event_id, unit, name, value, time FROM outcomes WHERE name IN ({sent})"]  # noqa: S608
    parts += [
        f"SELECT event_id || {literal('/' + name)}, unit, {literal(name)}, {value}, time FROM requests WHERE {only}"  # noqa: S608
        for name, (value, only) in FROM_REQUESTS.items()
        if name in wanted
    ]
    _copy(connection, " UNION ALL ".join(parts), path)


def _write_others(connection: duckdb.DuckDBPyConnection, experiment: Experiment, path: str) -> int:
    """The exposures of the experiments beside this one; returns how many."""
    rest = f"FROM exposures WHERE experiment <> {literal(experiment.name)} AND NOT coalesce(forced, false)"
    _copy(connection, f"SELECT unit, experiment, variant {rest}", path)
    return int(scalar(connection, f"SELECT count(*) {rest}"))


def _versions(connection: duckdb.DuckDBPyConnection, experiment: Experiment) -> dict[str, tuple[str, ...]]:
    variant = _field("experiments", experiment.name)
    rows = connection.execute(
        f"SELECT DISTINCT {variant}, version FROM requests "  # noqa: S608
        f"WHERE {variant} IS NOT NULL AND version <> '' AND status < 400 ORDER BY ALL"
    ).fetchall()
    return {name: tuple(str(version) for each, version in rows if each == name) for name in experiment.variants}


def _field(column: str, name: str) -> str:
    """SQL for one field of a column that holds a JSON object, as text."""
    return f"json_extract_string({column}, {literal('$.' + quoted(name))})"


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: str) -> None:
    try:
        connection.execute(f"COPY ({query}) TO {literal(path)} (FORMAT parquet)")
    except duckdb.Error as error:
        raise BadInputError("the stored events cannot be read", got=str(error).splitlines()[0]) from error


def _first_day(store: str) -> datetime | None:
    """The first day with exposures."""
    days = [name for name in artifacts.names(artifacts.join(store, "events", "exposures")) if name.startswith("date=")]
    return datetime.strptime(min(days), "date=%Y-%m-%d").replace(tzinfo=UTC) if days else None


def _first_hour(connection: duckdb.DuckDBPyConnection, experiment: Experiment) -> datetime | None:
    """The hour of the first exposure: the event log may not have been there before."""
    name = literal(experiment.name)
    first = scalar(
        connection,
        f"SELECT min(epoch_us(time)) FROM exposures WHERE experiment = {name} AND NOT coalesce(forced, false)",  # noqa: S608
    )
    return None if first is None else datetime.fromtimestamp(first // HOUR_US * HOUR_US / 1e6, tz=UTC)
