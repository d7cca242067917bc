"""From the blocks of a plan to its version: the merge, the account, the snapshot, the record."""

from __future__ import annotations

from pathlib import Path

import duckdb

from identity_masker import artifacts
from identity_masker.faces import account, forgotten, listing, merge, parquet, work
from identity_masker.faces.block_reading import Desk
from identity_masker.faces.data_repository import stored_files
from identity_masker.faces.dataset_config import DatasetConfig
from identity_masker.faces.ingest_results import FEWEST_PEOPLE, IngestResult, SourceRefusedError, found_in, result_of
from identity_masker.faces.normalise import PICTURES_VERSION
from identity_masker.faces.plan import Plan, view_known
from identity_masker.faces.registration import register
from identity_masker.faces.schema import SCHEMA_VERSION
from identity_masker.faces.versions import Counts, SnapshotFacts, VersionRecord
from identity_masker.telemetry.logs import logger

log = logger(__name__)


def publish(made: Plan, rows: list[Path], desk: Desk, folder: Path, staged: Path, started: float) -> IngestResult:
    """Make the version that `made` is for of the tables `rows` of its blocks, whose shards lie in `staged`.

    `folder` is for work. Raises `SourceRefusedError` when fewer than two people are left.
    """
    parent = None if made.parent is None else desk.versions.record(made.parent)
    parent_folder = None if parent is None else desk.repository.fetch(parent)
    (staged / "shards").mkdir(exist_ok=True)
    if parent is not None and parent_folder is not None:
        for path in parent.files:
            if path.startswith("shards/"):
                work.bring(str(parent_folder / path), staged / path)
        artifacts.get_file(artifacts.join(parent.account_uri, account.INPUTS), folder / account.INPUTS)
    with parquet.connect(folder, desk.threads) as connection:
        listing.open_listing(folder / "plan", connection)
        view_known(connection, None if parent is None else folder / account.INPUTS)
        merge.view_outcomes(connection, rows, parent_folder, forgotten.read(desk.versions, made.config.name))
        counts = account.counts(connection)
        account.write(connection, folder / "account")
        account_uri = account.store(folder / "account", desk.versions, made.config.name)
        if counts.people < FEWEST_PEOPLE:
            result = result_of(counts, account_uri, started, read=made.new, name=made.config.name)
            raise SourceRefusedError(result, got=found_in(counts, made.config))
        record, new = _registered(made, connection, counts, account_uri, desk, staged)
    log.info("ingested", version=record.version, new=new, **counts.model_dump(include={"accepted", "quarantined"}))
    # The same pictures may have been found beside other refused ones, so the account is this one's own.
    counts = counts.model_copy(update={"split_images": record.counts.split_images})
    return result_of(counts, account_uri, started, read=made.new, record=record, new=new)


def _registered(
    made: Plan,
    connection: duckdb.DuckDBPyConnection,
    counts: Counts,
    account_uri: str,
    desk: Desk,
    staged: Path,
) -> tuple[VersionRecord, bool]:
    """The version of what was read, and whether it is new."""
    config = made.config
    stored = merge.drop_unused(connection, staged, config.size)
    history = desk.versions.records(config.name)
    written = merge.write_tables(connection, staged, config, _placed_before(history, config))
    account.balance(counts, listed=made.inputs, stored=stored, rows=written.images)
    for known in reversed(history):
        if known.snapshot == written.snapshot:
            return known, False
    files = stored_files(staged)
    tracked = desk.repository.publish(staged, files, config.name, written.snapshot)
    facts = SnapshotFacts(
        name=config.name,
        snapshot=written.snapshot,
        schema_version=SCHEMA_VERSION,
        pictures_version=PICTURES_VERSION,
        size=config.size,
        origin=config.reader.origin(),
        fingerprint=made.fingerprint,
        config=config.model_dump(mode="json"),
        counts=counts.model_copy(update={"split_images": written.split_images, "split_people": written.split_people}),
        placed=written.placed,
        dvc=tracked,
        files=files,
        account_uri=account_uri,
    )
    return register(facts, desk.repository, desk.versions)


def _placed_before(history: list[VersionRecord], config: DatasetConfig) -> dict[str, str]:
    """Where earlier versions, dealt by the same rule, put people; the first word counts."""
    rule = config.splits.model_dump(mode="json")
    placed: dict[str, str] = {}
    for record in history:
        if record.config["splits"] == rule:
            placed = {**record.placed, **placed}
    return placed
