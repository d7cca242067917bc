"""The compacted events as DuckDB views that a query cannot leave: no other file, no network, no setting."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from identity_masker import duck
from identity_masker.errors import TemporaryError
from identity_masker.serving.answers import SHADOW
from identity_masker.telemetry.events.kinds import COLUMNS, Kind

VIEWS: tuple[Kind, ...] = ("requests", "exposures", "outcomes")
_TYPES: Mapping[str, str] = {"text": "VARCHAR", "number": "DOUBLE", "integer": "BIGINT", "flag": "BOOLEAN"}
"""By the type of a column; one whose type ends with ? may be null."""

NEVER = datetime(2000, 1, 1, tzinfo=UTC)


@contextmanager
def event_views(
    files: Mapping[Kind, Sequence[Path]], *, memory: str, since: datetime = NEVER, until: datetime = NEVER
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the views `requests`, `exposures` and `outcomes` of the events in [since, until).

    Each has the columns of its kind, and `time` as a TIMESTAMP in UTC. `since()` and `until()` are macros: results
    depend on the stored hours alone.
    """
    with duck.connect(memory_limit=memory, threads=1, temp_directory="") as connection:
        for name, moment in (("since", since), ("until", until)):
            connection.execute(f"CREATE MACRO {name}() AS make_timestamp({_microseconds(moment)})")
        paths = sorted({str(path) for found in files.values() for path in found})
        if paths:
            connection.execute(f"SET allowed_paths = [{', '.join(map(_literal, paths))}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        for kind in VIEWS:
            connection.execute(_view(kind, files.get(kind, ())))
        yield connection


def rows(connection: duckdb.DuckDBPyConnection, sql: str, seconds: float) -> list[dict[str, Any]]:
    """What one query gives. Raises `TemporaryError` when it takes longer or more memory than it may."""
    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    try:
        found = connection.execute(sql)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    except duckdb.InterruptException as error:
        raise TemporaryError("a query takes too long", got=f"more than {seconds:g} s", fix="make it cheaper") from error
    except duckdb.Error as error:
        raise TemporaryError("a query failed", got=str(error).splitlines()[0]) from error
    finally:
        timer.cancel()


def _view(kind: Kind, paths: Sequence[Path]) -> str:
    """Columns that older files lack are null."""
    own = {name: _TYPES[type_.removesuffix("?")] for name, type_ in COLUMNS[kind].items()}
    columns = {"event_id": "VARCHAR", "time": "TIMESTAMP", **own}
    nothing = ", ".join(f'NULL::{type_} AS "{name}"' for name, type_ in columns.items())
    source = f"SELECT {nothing} WHERE false"
    if paths:
        listed = ", ".join(_literal(str(path)) for path in paths)
        stored = f"read_parquet([{listed}], hive_partitioning = false, union_by_name = true)"
        moved = f"SELECT * REPLACE (make_timestamp(epoch_us(time)) AS time) FROM {stored}"  # noqa: S608
        source += f" UNION ALL BY NAME {moved}"
    # A copy that went to a shadow is no request of a user.
    asked = f" AND via IS DISTINCT FROM {_literal(SHADOW)}" if "via" in own else ""
    return f"CREATE VIEW {kind} AS SELECT * FROM ({source}) WHERE time >= since() AND time < until(){asked}"  # noqa: S608


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
