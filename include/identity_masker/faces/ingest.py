"""Ingestion: from a source to a pending dataset version, with every input accounted for."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.faces.data_repository import DataRepository, Places, stored_files
from identity_masker.faces.dataset_config import DatasetConfig
from identity_masker.faces.ledger import Ledger
from identity_masker.faces.prepare import Prepared, Refused, prepare
from identity_masker.faces.readers.workers import in_order
from identity_masker.faces.registration import register
from identity_masker.faces.schema import SCHEMA_VERSION
from identity_masker.faces.snapshot_writer import SnapshotWriter
from identity_masker.faces.versions import Counts, SnapshotFacts, VersionRecord, VersionStore
from identity_masker.telemetry.logs import logger

FEWEST_PEOPLE = 2
_REPORT_EVERY = 2000

log = logger(__name__)


class IngestResult(BaseModel):
    """What an ingestion did. `snapshot` and `version` are None when the source was refused as a whole.

    `account_uri` is the folder of `quarantine.parquet` and `duplicates.parquet`, which name every input left out.
    """

    model_config = ConfigDict(frozen=True)

    dataset: str
    snapshot: str | None
    version: str | None
    new_version: bool
    inputs: int
    accepted: int
    quarantined: int
    duplicates: int
    reasons: dict[str, int]
    people: int
    splits: dict[str, int]
    account_uri: str
    seconds: float


class SourceRefusedError(BadInputError):
    """No snapshot can be made of the source; `result` still accounts for its inputs."""

    def __init__(self, result: IngestResult, *, got: str) -> None:
        self.result = result
        super().__init__(
            "the source does not show enough people to tell apart",
            got=got,
            allowed=f"usable pictures of {FEWEST_PEOPLE} people or more, each person's in a folder of their own",
            fix="pass the folder that holds one sub-folder a person; "
            f"quarantine.parquet in {result.account_uri} names the refused files",
        )


def ingest(config: DatasetConfig, places: Places, workers: int) -> IngestResult:
    """Read the source of `config` and make a snapshot of it; the version is pending until it is validated.

    The same source and configuration give the same snapshot and no new version. Nothing of an ingestion that
    fails or is killed is visible. Raises `SourceRefusedError` for a source with fewer than two people,
    `TemporaryError` when the disk is full or the store does not answer.
    """
    started = time.monotonic()
    versions = VersionStore(places.store)
    known = _unchanged(config, versions)
    if known is not None:
        log.info("source_unchanged", version=known.version)
        return _result(known.counts, known.account_uri, started, record=known)
    repository = DataRepository(places)
    try:
        with repository.staging() as staged:
            return _ingest_into(staged, config, repository, versions, workers, started)
    except OSError as error:
        raise artifacts.disk_error(error, repository.root) from error


def _ingest_into(
    staged: Path,
    config: DatasetConfig,
    repository: DataRepository,
    versions: VersionStore,
    workers: int,
    started: float,
) -> IngestResult:
    writer, ledger = SnapshotWriter(staged, config), Ledger()
    _read(config, writer, ledger, workers)
    account = _store_account(ledger, versions, config.name)
    if len(writer.people()) < FEWEST_PEOPLE:
        counts = _counts(ledger, people=len(writer.people()))
        raise SourceRefusedError(_result(counts, account, started, name=config.name), got=_found(counts, config))
    history = versions.records(config.name)
    written = writer.finish(_placed_before(history, config))
    ledger.balance(written.images)
    counts = _counts(ledger, written.people, written.split_images, written.split_people)
    record = next((known for known in reversed(history) if known.snapshot == written.snapshot), None)
    new = False
    if record is None:
        files = stored_files(staged)
        tracked = repository.publish(staged, files, config.name, written.snapshot)
        facts = SnapshotFacts(
            name=config.name,
            snapshot=written.snapshot,
            schema_version=SCHEMA_VERSION,
            size=config.size,
            origin=config.reader.origin(),
            fingerprint=config.reader.fingerprint(),
            config=config.model_dump(mode="json"),
            counts=counts,
            placed=written.placed,
            dvc=tracked,
            files=files,
            account_uri=account,
        )
        record, new = register(facts, repository, versions)
    log.info("ingested", version=record.version, new=new, accepted=counts.accepted, quarantined=counts.quarantined)
    return _result(counts, account, started, record=record, new=new)


def _read(config: DatasetConfig, writer: SnapshotWriter, ledger: Ledger, workers: int) -> None:
    """Every input into the ledger, the accepted ones into the writer too."""
    for outcome in _outcomes(config, workers):
        if isinstance(outcome, Refused):
            ledger.refuse(outcome)
        elif ledger.admit(outcome):
            writer.add(outcome)
        if ledger.inputs % _REPORT_EVERY == 0:
            log.info("ingesting", inputs=ledger.inputs, accepted=ledger.accepted)


def _outcomes(config: DatasetConfig, workers: int) -> Iterator[Prepared | Refused]:
    for batch in config.reader.batches(workers):
        yield from in_order(lambda source: prepare(source, config), batch, workers)


def _store_account(ledger: Ledger, versions: VersionStore, name: str) -> str:
    """Keep the lists of refused and duplicate inputs in the store, whatever becomes of the snapshot."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    uri = versions.uri(name, "accounts", moment)
    with tempfile.TemporaryDirectory() as folder:
        ledger.write(Path(folder))
        for path in sorted(Path(folder).iterdir()):
            artifacts.write_bytes(artifacts.join(uri, path.name), path.read_bytes())
    return uri


def _counts(
    ledger: Ledger,
    people: int,
    split_images: dict[str, int] | None = None,
    split_people: dict[str, int] | None = None,
) -> Counts:
    return Counts(
        inputs=ledger.inputs,
        accepted=ledger.accepted,
        quarantined=len(ledger.refused),
        duplicates=len(ledger.duplicates),
        duplicates_across_people=ledger.duplicates_across_people(),
        reasons=ledger.reasons(),
        people=people,
        split_images=split_images or {},
        split_people=split_people or {},
    )


def _found(counts: Counts, config: DatasetConfig) -> str:
    people = "1 person" if counts.people == 1 else f"{counts.people} people"
    refused = ", ".join(f"{count} {reason}" for reason, count in counts.reasons.items())
    return f"{people} in {counts.inputs} inputs of {config.reader.origin()}" + (f" ({refused})" if refused else "")


def _result(
    counts: Counts,
    account: str,
    started: float,
    *,
    record: VersionRecord | None = None,
    new: bool = False,
    name: str = "",
) -> IngestResult:
    return IngestResult(
        dataset=record.name if record else name,
        snapshot=record.snapshot if record else None,
        version=record.version if record else None,
        new_version=new,
        splits=counts.split_images,
        account_uri=account,
        seconds=round(time.monotonic() - started, 3),
        **counts.model_dump(include={"inputs", "accepted", "quarantined", "duplicates", "reasons", "people"}),
    )


def _placed_before(history: list[VersionRecord], config: DatasetConfig) -> dict[str, str]:
    """Where earlier versions, dealt by the same rule, put people; the first word counts."""
    rule = config.splits.model_dump(mode="json")
    placed: dict[str, str] = {}
    for record in history:
        if record.config["splits"] == rule:
            placed = {**record.placed, **placed}
    return placed


def _unchanged(config: DatasetConfig, versions: VersionStore) -> VersionRecord | None:
    """The version made from the same configuration and inputs, where the reader can tell without reading."""
    fingerprint = config.reader.fingerprint()
    if fingerprint is None:
        return None
    decisive = config.model_dump(mode="json", exclude={"rules", "description", "shard_images"})
    for record in reversed(versions.records(config.name)):
        same = record.fingerprint == fingerprint and record.schema_version == SCHEMA_VERSION
        if same and all(record.config.get(field) == value for field, value in decisive.items()):
            return record
    return None
