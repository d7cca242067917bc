"""Tables in files, summarised out of core: DuckDB streams them, whatever their size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from identity_masker import duck
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.summary import TableSummary
from identity_masker.errors import BadInputError, NotFoundError

BATCH_ROWS = 262_144
MEMORY = "512MB"
ABSENT = ("", "NA", "NULL", "null", "None")
READERS = {
    ".parquet": "read_parquet(?, union_by_name = true)",
    # All rows are looked at for the types: a column with a word in its last row is not numeric.
    ".csv": "read_csv(?, header = true, sample_size = -1, nullstr = ?)",
}


FORMATS = "a .parquet or .csv file, a folder of .parquet files, or a pattern with *"


def summarise(
    source: str, policy: DriftPolicy, *, seed: int = 0, threads: int = 1, memory: str = MEMORY
) -> TableSummary:
    """Summary of the Parquet or CSV table `source`: a file, or a pattern with `*` that names several.

    Memory: a batch of 262,144 rows, DuckDB's own limit `memory`, and the sketches. Raises `NotFoundError` when no
    file is there, `BadInputError` for another format or a file that cannot be read.
    """
    reader, arguments = _reader(source)
    with duck.connect(memory_limit=memory, threads=max(1, threads), preserve_insertion_order=True) as connection:
        try:
            batches = _batches(connection, f"SELECT * FROM {reader}", arguments)  # noqa: S608 - reader is a constant
            summary = TableSummary.empty(batches.schema, policy, seed)
            for batch in batches:
                summary.update(batch)
        except (duckdb.Error, pa.ArrowException) as error:
            raise BadInputError(
                f"the table {source} cannot be read", got=_first_line(error), allowed=FORMATS
            ) from error
    return summary


def summarise_batches(table: pa.Table, policy: DriftPolicy, *, seed: int = 0) -> TableSummary:
    """Summary of a table in memory."""
    summary = TableSummary.empty(table.schema, policy, seed)
    for batch in table.to_batches():
        summary.update(batch)
    return summary


def _reader(source: str) -> tuple[str, list[Any]]:
    path = Path(source.removeprefix("file://"))
    if path.is_dir():
        path = path / "**" / "*.parquet"
    if path.suffix.lower() not in READERS:
        raise BadInputError("this is not a table", got=source, allowed=FORMATS)
    if not any(sign in str(path) for sign in "*?[") and not path.is_file():
        raise NotFoundError("there is no such table", got=source, allowed=FORMATS)
    csv = path.suffix.lower() == ".csv"
    return READERS[path.suffix.lower()], [str(path), list(ABSENT)] if csv else [str(path)]


def _batches(connection: Any, query: str, arguments: list[Any]) -> pa.RecordBatchReader:
    return connection.sql(query, params=arguments).to_arrow_reader(BATCH_ROWS)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
