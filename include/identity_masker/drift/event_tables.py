"""The events of a window as tables, read with DuckDB out of the event store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from identity_masker import artifacts, duck
from identity_masker.drift.tables import MEMORY
from identity_masker.errors import BadInputError
from identity_masker.serving.answers import SHADOW
from identity_masker.serving.picture_code import SIZE, from_text
from identity_masker.telemetry import event_store
from identity_masker.telemetry.events.kinds import Kind

OK = 200
CODE = "masked_code"
VIA = "via"
VECTOR = pa.list_(pa.float32(), SIZE)


class EventTables:
    """Queries on the events of some kinds and periods; each is a view of its own."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, store: str) -> None:
        self._connection = connection
        self._store = store

    def view(self, name: str, kind: Kind, start: datetime, end: datetime) -> tuple[str, ...]:
        """The events of `kind` in [start, end) as the view `name`; its columns, none when there are no files.

        Copies of requests that went to a shadow are left out: nobody got their answers. Files without the column `via`
        are older than shadows. Raises `BadInputError` when the stored files cannot be read together.
        """
        paths = event_store.files(self._store, kind, start, end)
        if not paths:
            return ()
        listed = ", ".join(literal(path.removeprefix("file://")) for path in paths)
        low, high = (literal(moment.astimezone(UTC).isoformat()) for moment in (start, end))
        source = f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
        within = f"WHERE time >= {low}::TIMESTAMPTZ AND time < {high}::TIMESTAMPTZ"
        found = self.run(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608
        columns = tuple(str(row[0]) for row in found)
        own = f" AND {VIA} IS DISTINCT FROM {literal(SHADOW)}" if VIA in columns else ""
        self.run(f"CREATE TEMP VIEW {name} AS SELECT * FROM {source} {within}{own}")  # noqa: S608
        return columns

    def write(self, query: str, path: Path) -> int:
        """The rows of `query` as a Parquet file; how many there are."""
        self.run(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)")
        rows: int = pq.read_metadata(path).num_rows
        return rows

    def table(self, query: str) -> pa.Table:
        """The rows of `query` in memory."""
        try:
            return self._connection.sql(query).to_arrow_table()
        except duckdb.Error as error:
            raise _unreadable(error) from error

    def run(self, query: str) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(query)
        except duckdb.Error as error:
            raise _unreadable(error) from error


@contextmanager
def event_tables(store: str, work: Path, threads: int) -> Iterator[EventTables]:
    """A DuckDB that reads `store`, and spills into the folder `work` what exceeds 512 MB."""
    with duck.connect(memory_limit=MEMORY, threads=str(max(1, threads)), preserve_insertion_order=True) as connection:
        connection.execute(f"SET temp_directory = {literal(str(work / 'spill'))}; SET TimeZone = 'UTC'")
        if not artifacts.is_local(store):
            connection.register_filesystem(artifacts.split(store)[0])
        yield EventTables(connection, store)


def with_vectors(table: pa.Table) -> pa.Table:
    """`table` with the texts of its codes as vectors; a text that is no code is a missing vector."""
    numbers = [from_text(text) if text else None for text in table.column(CODE).to_pylist()]
    vectors = pa.array([None if each is None else each.tolist() for each in numbers], VECTOR)
    return table.set_column(table.column_names.index(CODE), CODE, vectors)


def quoted(names: Sequence[str]) -> str:
    """Columns of SQL."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text: str) -> str:
    """A text of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _unreadable(error: duckdb.Error) -> BadInputError:
    return BadInputError(
        "the stored events cannot be read",
        got=str(error).strip().splitlines()[0],
        fix="events of one column must have one type in all hours",
    )
