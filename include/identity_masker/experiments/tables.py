"""Exposures and outcomes as files: opened in DuckDB, with their columns found and their rows counted.

Exposures: one row each time a unit met its variant: unit, variant, time (optional), attributes (optional).
Outcomes, long: unit, outcome, value, time. Outcomes, wide: unit, time (optional), one column a metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from identity_masker import duck
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.settings import settings

MEMORY_LIMIT = "1300MB"
VARIANT = ("variant", "arm", "variation", "group")
TIME = ("timestamp", "time", "occurred_at", "exposed_at", "ts")
OUTCOME = ("outcome", "metric", "event", "name")
VALUE = ("value",)
EVENT_ID = ("event_id",)
# Numbers above this are milliseconds since 1970, below seconds.
MILLISECONDS_FROM = 1e11
# Up to so many rows, whether all are distinct is told by sorting their hashes here, which is faster.
HASHES_AT_ONCE = 40_000_000


@dataclass(frozen=True)
class Table:
    """An opened file: the name of its view, and its columns with their types."""

    view: str
    path: str
    types: dict[str, str]

    def find(self, names: Sequence[str]) -> str | None:
        """The first of `names` that is a column, whatever its case."""
        columns = {column.lower(): column for column in self.types}
        return next((columns[name.lower()] for name in names if name.lower() in columns), None)

    def need(self, names: Sequence[str], what: str) -> str:
        """As `find`. Raises `BadInputError` when there is none."""
        found = self.find(names)
        if found is None:
            raise BadInputError(
                f"{self.path} has no column for the {what}",
                got=", ".join(self.types),
                allowed="one of " + ", ".join(dict.fromkeys(names)),
            )
        return found


@contextmanager
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory that spills to disk beyond 1.3 GB."""
    config = settings()
    connection = duck.connect(memory_limit=MEMORY_LIMIT, preserve_insertion_order=False)
    try:
        spill = config.home / "tmp" / "experiments"
        connection.execute(f"SET temp_directory = {literal(str(spill))}; SET TimeZone = 'UTC'")
        if config.threads:
            connection.execute(f"SET threads = {config.threads}")
        yield connection
    finally:
        connection.close()


def opened(connection: duckdb.DuckDBPyConnection, view: str, path: str) -> Table:
    """The Parquet or CSV file (or folder or pattern of Parquet files) at `path` as view `view`.

    Raises `NotFoundError` when nothing is there and `BadInputError` for what is neither format.
    """
    place = path.removeprefix("file://")
    if Path(place).is_dir():
        place = f"{place.rstrip('/')}/**/*.parquet"
    elif not Path(place).is_file() and "*" not in place:
        raise NotFoundError("there is no such file", got=path)
    try:
        if place.lower().endswith((".csv", ".csv.gz", ".tsv")):
            relation = connection.read_csv(place, header=True, all_varchar=True)
        else:
            relation = connection.read_parquet(place, union_by_name=True)
        relation.create_view(view)
        types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    except duckdb.Error as error:
        raise BadInputError("the file cannot be read", got=f"{path}: {error}", allowed="Parquet or CSV") from error
    return Table(view, path, types)


def microseconds(connection: duckdb.DuckDBPyConnection, table: Table, column: str) -> str:
    """SQL for a time column as microseconds since 1970, UTC; NULL where it is not a time."""
    kind, name = table.types[column].upper(), quoted(column)
    if kind.startswith(("TIMESTAMP", "DATE")):
        return f"epoch_us({name}::TIMESTAMPTZ)"
    if kind in ("VARCHAR", "STRING"):
        text = f"epoch_us(TRY_CAST({name} AS TIMESTAMPTZ))"
        number = f"TRY_CAST({name} AS DOUBLE)"
        return f"CASE WHEN {number} IS NULL THEN {text} ELSE {_epoch(number)} END"
    return _epoch(f"{name}::DOUBLE")


def number(table: Table, column: str) -> str:
    """SQL for a column as a finite DOUBLE; NULL for anything else."""
    cast = f"TRY_CAST({quoted(column)} AS DOUBLE)"
    kind = table.types[column].upper()
    whole = kind.endswith("INT") or kind in ("INTEGER", "BOOLEAN")
    return cast if whole else f"CASE WHEN isfinite({cast}) THEN {cast} END"


def all_distinct(connection: duckdb.DuckDBPyConnection, expression: str, source: str) -> bool:
    """Whether `expression` has another value in every row of `source`."""
    rows = scalar(connection, f"SELECT count(*) FROM {source}")  # noqa: S608
    if rows > HASHES_AT_ONCE:
        return bool(scalar(connection, f"SELECT count(DISTINCT hash({expression})) FROM {source}") == rows)  # noqa: S608
    hashes = connection.execute(f"SELECT hash({expression}) AS h FROM {source}").fetchnumpy()["h"]  # noqa: S608
    ordered = np.sort(np.asarray(hashes))
    return not bool(np.any(ordered[1:] == ordered[:-1]))


def one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """The one row of a query."""
    # All rows are fetched: DuckDB refuses the next query while a result is not read to its end.
    rows = connection.execute(query).fetchall()
    return tuple(rows[0])


def scalar(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    """The one value of a query."""
    return one(connection, query)[0]


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _epoch(expression: str) -> str:
    scale = f"CASE WHEN abs({expression}) > {MILLISECONDS_FROM} THEN 1e3 ELSE 1e6 END"
    return f"CASE WHEN isfinite({expression}) THEN ({expression} * {scale})::BIGINT END"
