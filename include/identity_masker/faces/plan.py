"""The plan of an ingestion: what the source lists, what of it is known already, and the blocks that are to be read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import NotFoundError
from identity_masker.faces import account, listing, parquet, work
from identity_masker.faces.dataset_config import DatasetConfig
from identity_masker.faces.normalise import PICTURES_VERSION
from identity_masker.faces.readers.source import Listed
from identity_masker.faces.schema import SCHEMA_VERSION
from identity_masker.faces.versions import VersionRecord, VersionStore

BLOCK = 2048
"""Inputs of a block: what is lost at most when an ingestion is killed."""
NEW = "new.parquet"

_OF_PICTURES = ("size", "crop", "limits", "refuse_wrong_extension")
_OF_LAYOUT = ("shard_images", "splits")


class Plan(BaseModel):
    """What is to be done. `parent` is the version whose account tells what the known inputs are."""

    model_config = ConfigDict(frozen=True)

    id: str
    config: DatasetConfig
    fingerprint: str
    inputs: int
    new: int
    blocks: tuple[str, ...]
    parent: str | None


def make_plan(config: DatasetConfig, versions: VersionStore, desk: Path, threads: int) -> Plan | VersionRecord:
    """List the source and store the plan for what is new in it; the known version when nothing has changed.

    The same source, configuration and versions give the same plan. `desk` is an empty folder for the work.
    """
    with parquet.connect(desk, threads) as connection:
        inputs = listing.write_listing(config.reader, desk, connection)
        fingerprint = listing.fingerprint(connection)
        history = versions.living(config.name)
        if (same := unchanged(config, fingerprint, history)) is not None:
            return same
        parent = _remember(config, history, desk, connection)
        blocks = _write_new(desk, connection, config)
        new = pq.read_metadata(desk / NEW).num_rows
    return _stored(config, fingerprint, inputs, new, blocks, parent, versions, desk)


def _stored(
    config: DatasetConfig,
    fingerprint: str,
    inputs: int,
    new: int,
    blocks: list[str],
    parent: VersionRecord | None,
    versions: VersionStore,
    desk: Path,
) -> Plan:
    named = json.dumps([_settings(config), config.name, fingerprint, parent and parent.version, blocks], sort_keys=True)
    plan = Plan(
        id=hashlib.sha256(named.encode()).hexdigest()[:32],
        config=config,
        fingerprint=fingerprint,
        inputs=inputs,
        new=new,
        blocks=tuple(blocks),
        parent=None if parent is None else parent.version,
    )
    files = desk / "plan"
    files.mkdir()
    for name in (listing.LISTING, NEW):
        (desk / name).rename(files / name)
    work.keep(work.Work(versions, config.name).plan_uri(plan.id), files, plan.model_dump(mode="json"))
    return plan


def read_plan(uri: str) -> Plan:
    """The plan at `uri`. Raises `NotFoundError` when there is none, also when it was carried out meanwhile."""
    done = work.finished(uri)
    if done is None:
        raise NotFoundError("there is no such plan of an ingestion", got=uri, fix="plan again: `masker data plan`")
    return Plan.model_validate(done.document)


def inputs_of(plan: Plan, new: Path, block: str) -> list[Listed]:
    """The inputs of `block`, from the table `new` of the plan."""
    return listing.rows_of(pq.ParquetFile(new).read_row_group(plan.blocks.index(block)))


def unchanged(config: DatasetConfig, fingerprint: str, history: list[VersionRecord]) -> VersionRecord | None:
    """The version that was made from the same configuration and inputs."""
    decisive = config.model_dump(mode="json", exclude={"rules", "description", "shard_images", "consent"})
    for record in reversed(history):
        same = record.fingerprint == fingerprint and _is_made_as_now(record)
        if same and all(record.config.get(field) == value for field, value in decisive.items()):
            return record
    return None


def _remember(
    config: DatasetConfig, history: list[VersionRecord], desk: Path, connection: duckdb.DuckDBPyConnection
) -> VersionRecord | None:
    """Bring the account of the newest version that read this source in the same way. Makes the view `remembered`."""
    wanted = _of_pictures(config)
    path = desk / account.INPUTS
    for record in reversed(history):
        if _of_pictures_of(record) == wanted:
            try:
                artifacts.get_file(artifacts.join(record.account_uri, account.INPUTS), path)
            except NotFoundError:
                continue
            view_known(connection, path)
            return record
    view_known(connection, None)
    return None


def view_known(connection: duckdb.DuckDBPyConnection, inputs: Path | None) -> None:
    """Make the view `remembered`: listed inputs with their `position` whose outcome is known from the table `inputs`.

    A duplicate is known only together with its original, for its own pixels were not kept; and only of the same
    person, for the original's person may be forgotten.
    """
    parquet.view(connection, "before", [] if inputs is None else [inputs], account.INPUT_COLUMNS)
    connection.execute(
        """
        CREATE VIEW remembered AS
        WITH same AS (
            SELECT listing.position, before.* FROM listing JOIN before USING (name, etag)
            WHERE listing.identity IS NOT DISTINCT FROM before.identity
        )
        SELECT * FROM same WHERE outcome <> 'duplicate'
        UNION ALL BY NAME
        SELECT copy.* FROM same AS copy JOIN same AS original USING (content_hash)
        WHERE copy.outcome = 'duplicate' AND original.outcome = 'accepted' AND original.position < copy.position
          AND original.identity = copy.identity
        """
    )


def _write_new(desk: Path, connection: duckdb.DuckDBPyConnection, config: DatasetConfig) -> list[str]:
    """Write the inputs that are to be read, a row group a block; the keys of the blocks."""
    query = "SELECT * FROM listing ANTI JOIN remembered USING (name) ORDER BY position"
    settings = json.dumps(_settings(config), sort_keys=True)
    keys = []
    with pq.ParquetWriter(desk / NEW, listing.LISTING_COLUMNS) as writer:
        for table in _of_length(parquet.batches(connection, query, listing.LISTING_COLUMNS), BLOCK):
            writer.write_table(table, row_group_size=BLOCK)
            digest = hashlib.sha256(settings.encode())
            for one in listing.rows_of(table):
                digest.update(repr((one.name, one.identity, one.etag, one.key)).encode())
            keys.append(digest.hexdigest()[:32])
    return keys


def _of_length(tables: Iterator[pa.Table], length: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly `length` rows, the last one shorter."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        while sum(map(len, waiting)) >= length:
            together = pa.concat_tables(waiting)
            yield together.slice(0, length)
            waiting = [together.slice(length)]
    if any(map(len, waiting)):
        yield pa.concat_tables(waiting)


def _is_made_as_now(record: VersionRecord) -> bool:
    return (record.schema_version, record.pictures_version) == (SCHEMA_VERSION, PICTURES_VERSION)


def _of_pictures(config: DatasetConfig) -> dict[str, object]:
    """What decides on the outcome of an input."""
    settings = config.model_dump(mode="json", include=set(_OF_PICTURES))
    return settings | {"schema": SCHEMA_VERSION, "pictures": PICTURES_VERSION, "origin": config.reader.origin()}


def _of_pictures_of(record: VersionRecord) -> dict[str, object]:
    settings = {field: record.config.get(field) for field in _OF_PICTURES}
    made = {"schema": record.schema_version, "pictures": record.pictures_version, "origin": record.origin}
    return settings | made


def _settings(config: DatasetConfig) -> dict[str, object]:
    """What decides on the content of a block."""
    reader = config.reader.model_dump(mode="json", exclude={"images"})
    return _of_pictures(config) | config.model_dump(mode="json", include=set(_OF_LAYOUT)) | {"reader": reader}
