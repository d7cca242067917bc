"""The account of an ingestion: every input ends in exactly one of accepted, quarantined, duplicate."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from identity_masker import artifacts
from identity_masker.errors import MaskerError
from identity_masker.faces import parquet
from identity_masker.faces.versions import Counts, VersionStore

INPUTS, QUARANTINE, DUPLICATES = "inputs.parquet", "quarantine.parquet", "duplicates.parquet"

INPUT_COLUMNS = pa.schema(
    [
        ("name", pa.string()),
        ("identity", pa.string()),
        ("etag", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("content_hash", pa.string()),
        ("duplicate_of", pa.string()),
        ("duplicate_of_identity", pa.string()),
    ]
)
"""One row an input, `outcome` accepted, quarantined or duplicate; what the next ingestion of the source goes by."""

_PART_COLUMNS = {
    QUARANTINE: ("name", "identity", "reason", "detail"),
    DUPLICATES: ("name", "identity", "duplicate_of", "duplicate_of_identity"),
}
_OUTCOMES = {QUARANTINE: "quarantined", DUPLICATES: "duplicate"}


def write(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Write the tables of the account from the view `outcomes`, which has `INPUT_COLUMNS` and `position`."""
    folder.mkdir()
    parquet.write(connection, "SELECT * FROM outcomes ORDER BY position", INPUT_COLUMNS, folder / INPUTS)
    for name, columns in _PART_COLUMNS.items():
        query = f"SELECT * FROM outcomes WHERE outcome = '{_OUTCOMES[name]}' ORDER BY position"  # noqa: S608 - own names
        schema = pa.schema([INPUT_COLUMNS.field(column) for column in columns])
        parquet.write(connection, query, schema, folder / name)


def store(folder: Path, versions: VersionStore, name: str) -> str:
    """Keep the account in the store, whatever becomes of the snapshot; its URI."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    uri = versions.uri(name, "accounts", moment)
    for table in (INPUTS, QUARANTINE, DUPLICATES):
        artifacts.put_file(artifacts.join(uri, table), folder / table)
    return uri


def counts(connection: duckdb.DuckDBPyConnection) -> Counts:
    """The account in numbers, from the view `outcomes`; people and images of splits are not known yet."""
    inputs, accepted, quarantined, duplicates, across, people = parquet.one(
        connection,
        """
        SELECT count(*), count_if(outcome = 'accepted'), count_if(outcome = 'quarantined'),
               count_if(outcome = 'duplicate'),
               count_if(outcome = 'duplicate' AND identity <> duplicate_of_identity),
               count(DISTINCT identity) FILTER (outcome = 'accepted')
        FROM outcomes
        """,
    )
    reasons = connection.execute(
        "SELECT reason, count(*) FROM outcomes WHERE outcome = 'quarantined' GROUP BY reason ORDER BY reason"
    ).fetchall()
    return Counts(
        inputs=inputs,
        accepted=accepted,
        quarantined=quarantined,
        duplicates=duplicates,
        duplicates_across_people=across,
        reasons=dict(reasons),
        people=people,
        split_images={},
        split_people={},
    )


def balance(counted: Counts, *, listed: int, stored: int, rows: int) -> None:
    """Raise unless every one of `listed` inputs has one outcome, and each accepted one is stored, with a row.

    The numbers come from different places: the listing, the shards on disk, the manifest.
    """
    ended = counted.accepted + counted.quarantined + counted.duplicates
    if not (listed == counted.inputs == ended and counted.accepted == stored == rows):
        raise MaskerError(
            "the ingestion does not account for every input",
            got=f"{listed} inputs, {ended} with an outcome, {counted.accepted} accepted, {stored} stored, {rows} rows",
            fix="report this as a defect of identity_masker.faces",
        )
