"""From lines of segments to one Parquet file an hour, merged with what the store has of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from identity_masker import duck
from identity_masker.errors import TemporaryError
from identity_masker.telemetry.event_store import hour_of
from identity_masker.telemetry.events.kinds import COLUMNS, Kind, Type

CHUNK_ROWS = 50_000
MEMORY = "512MB"
_ARROW: Mapping[Type, pa.DataType] = {
    "text": pa.string(),
    "text?": pa.string(),
    "number": pa.float64(),
    "number?": pa.float64(),
    "integer": pa.int64(),
    "integer?": pa.int64(),
    "flag": pa.bool_(),
}


def schema(kind: Kind) -> pa.Schema:
    """The columns of a compacted file."""
    columns = {name: _ARROW[type_] for name, type_ in COLUMNS[kind].items()}
    return pa.schema({"event_id": pa.string(), "time": pa.timestamp("us", tz="UTC"), **columns})


def spread(rows: Iterable[dict[str, Any]], kind: Kind, folder: Path) -> dict[datetime, list[Path]]:
    """Write `rows` to Parquet files in `folder`; the files by hour. Holds 50,000 rows at a time."""
    found: dict[datetime, list[Path]] = defaultdict(list)
    waiting: dict[datetime, list[dict[str, Any]]] = defaultdict(list)

    def flush() -> None:
        for hour, part in waiting.items():
            path = folder / f"{kind}-{hour:%Y%m%d%H}-{len(found[hour])}.parquet"
            pq.write_table(pa.Table.from_pylist(part, schema(kind)), path)
            found[hour].append(path)
        waiting.clear()

    for count, row in enumerate(rows, start=1):
        waiting[hour_of(datetime.fromtimestamp(row["time"] // 1_000_000, UTC))].append(row)
        if count % CHUNK_ROWS == 0:
            flush()
    flush()
    return found


def empty(kind: Kind, folder: Path) -> Path:
    """A file without rows: read beside files of earlier versions, it brings the columns that these do not have."""
    path = folder / f"{kind}-empty.parquet"
    pq.write_table(schema(kind).empty_table(), path)
    return path


def merge(kind: Kind, stored: Path | None, new: list[Path], target: Path) -> int:
    """Write the events of `stored` and `new` to `target`, each once and in order of time; how many there are.

    Works beyond memory: DuckDB keeps what does not fit in a folder beside `target`. Raises `TemporaryError` when
    there is no room for that.
    """
    spill = str(target.parent / "spill")
    sources = f"SELECT *, 1 AS origin FROM {parquet(new)}"  # noqa: S608
    if stored is not None:
        sources += f" UNION ALL BY NAME SELECT *, 0 AS origin FROM {parquet([stored])}"  # noqa: S608
    once = f"SELECT DISTINCT ON (event_id) * FROM ({sources}) ORDER BY event_id, origin"  # noqa: S608
    columns = ", ".join(f'"{name}"' for name in schema(kind).names)
    ordered = f"SELECT {columns} FROM ({once}) ORDER BY time, event_id"  # noqa: S608
    with duck.connect(memory_limit=MEMORY, temp_directory=spill, threads=1) as connection:
        try:
            connection.execute(f"COPY ({ordered}) TO {literal(target)} (FORMAT parquet, COMPRESSION zstd)")
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise TemporaryError(
                "an hour of events could not be merged",
                got=str(error).splitlines()[0],
                fix="free space on the disk of MASKER_EVENTS_DIR, then run again",
            ) from error
    return rows_of(target)


def rows_of(path: Path) -> int:
    rows: int = pq.read_metadata(path).num_rows
    return rows


def parquet(paths: Sequence[Path]) -> str:
    """The rows of the files as a table of SQL, without columns made of the names of their folders."""
    return f"read_parquet([{', '.join(map(literal, paths))}], hive_partitioning = false, union_by_name = true)"


def literal(path: Path) -> str:
    """The path as a string of SQL."""
    return "'" + str(path).replace("'", "''") + "'"
