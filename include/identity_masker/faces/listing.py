"""The list of all inputs of a source, as a table that everything else goes by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from identity_masker.errors import BadInputError
from identity_masker.faces import parquet
from identity_masker.faces.readers.source import Listed, Reader

LISTING = "listing.parquet"
LISTING_COLUMNS = pa.schema(
    [
        ("position", pa.int64()),
        ("name", pa.string()),
        ("identity", pa.string()),
        ("etag", pa.string()),
        ("key", pa.binary()),
    ]
)


def write_listing(reader: Reader, desk: Path, connection: duckdb.DuckDBPyConnection) -> int:
    """List the source of `reader` into `desk/listing.parquet`; the number of inputs. Makes the view `listing`.

    The second and third input of the name 1.jpg are called 1#2.jpg and 1#3.jpg, so that each is accounted for.
    """
    raw = desk / "raw.parquet"
    with pq.ParquetWriter(raw, LISTING_COLUMNS) as writer:
        for start, chunk in _chunks(reader.listing()):
            writer.write_table(_table(chunk, start))
    chosen = "" if reader.images is None else f"QUALIFY row_number() OVER (ORDER BY sha256(name)) <= {reader.images}"
    inputs = parquet.write(
        connection,
        f"""
        WITH numbered AS (
            SELECT position, identity, etag, key,
                   row_number() OVER (PARTITION BY name ORDER BY position) AS copy,
                   CASE WHEN copy = 1 THEN name
                        ELSE regexp_replace(name, '([.][^./]*)?$', '#' || copy || '\\1') END AS name
            FROM read_parquet({parquet.quoted(str(raw))})
        )
        SELECT * FROM numbered {chosen} ORDER BY position
        """,  # noqa: S608 - own names and a number
        LISTING_COLUMNS,
        desk / LISTING,
    )
    raw.unlink()
    open_listing(desk, connection)
    _check_names(connection)
    return inputs


def open_listing(desk: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Make the view `listing` of `desk/listing.parquet`."""
    parquet.view(connection, "listing", [desk / LISTING], LISTING_COLUMNS)


def fingerprint(connection: duckdb.DuckDBPyConnection) -> str:
    """A hash of all inputs: the same while nothing in the source changes."""
    digest = hashlib.sha256()
    query = "SELECT name, identity, etag FROM listing ORDER BY position"
    columns = pa.schema([LISTING_COLUMNS.field(name) for name in ("name", "identity", "etag")])
    for table in parquet.batches(connection, query, columns):
        for row in zip(*(column.to_pylist() for column in table), strict=True):
            digest.update(repr(row).encode())
    return digest.hexdigest()


def _check_names(connection: duckdb.DuckDBPyConnection) -> None:
    for (name,) in connection.execute("SELECT name FROM listing GROUP BY name HAVING count(*) > 1 LIMIT 1").fetchall():
        raise BadInputError("two inputs of the source have one name", got=name, fix="rename one of them")


def _chunks(listed: Iterable[Listed]) -> Iterator[tuple[int, list[Listed]]]:
    rest, start = iter(listed), 0
    while chunk := list(islice(rest, parquet.ROWS_AT_ONCE)):
        yield start, chunk
        start += len(chunk)


def _table(chunk: list[Listed], start: int) -> pa.Table:
    columns = {name: [getattr(one, name) for one in chunk] for name in LISTING_COLUMNS.names[1:]}
    return pa.table({"position": range(start, start + len(chunk)), **columns}, LISTING_COLUMNS)


def rows_of(table: pa.Table) -> list[Listed]:
    """The inputs of a table with `LISTING_COLUMNS`."""
    columns = (table[name].to_pylist() for name in ("name", "identity", "etag", "key"))
    return [Listed(*row) for row in zip(*columns, strict=True)]
