"""Tables larger than memory: DuckDB under a limit reads, joins and sorts them, Arrow writes them piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from identity_masker import duck

MEMORY = "512MB"
ROWS_AT_ONCE = 8192


def connect(desk: Path, threads: int) -> duckdb.DuckDBPyConnection:
    """A database that holds at most `MEMORY` and puts the rest into the folder `desk`."""
    return duck.connect(
        memory_limit=MEMORY, temp_directory=str(desk / "spilled"), threads=threads, preserve_insertion_order=False
    )


def view(connection: duckdb.DuckDBPyConnection, name: str, files: list[Path], schema: pa.Schema) -> None:
    """A view `name` of Parquet files that have the columns of `schema`; of none it is empty."""
    if not files:
        connection.register(name, schema.empty_table())
        return
    paths = ", ".join(quoted(str(path)) for path in files)
    connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{paths}])")  # noqa: S608 - own names


def quoted(text: str) -> str:
    """`text` as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def batches(connection: duckdb.DuckDBPyConnection, query: str, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of `query` as tables of `schema`, `ROWS_AT_ONCE` or so at a time."""
    for batch in connection.sql(query).to_arrow_reader(ROWS_AT_ONCE):
        yield pa.Table.from_batches([batch]).select(schema.names).cast(schema)


def write(connection: duckdb.DuckDBPyConnection, query: str, schema: pa.Schema, path: Path) -> int:
    """Write the rows of `query` to `path`; how many there are."""
    rows = 0
    with pq.ParquetWriter(path, schema) as writer:
        for table in batches(connection, query, schema):
            writer.write_table(table)
            rows += len(table)
    return rows


def one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    """The only row of `query`."""
    (row,) = connection.execute(query).fetchall()
    return tuple(row)
