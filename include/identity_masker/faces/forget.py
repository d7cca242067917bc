"""Taking a person out of a dataset for good: a new version without them, and nothing left of the old ones."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.faces import account, forgotten, merge, objects, parquet
from identity_masker.faces.data_repository import DataRepository, Places, stored_files
from identity_masker.faces.registration import register
from identity_masker.faces.schema import MANIFEST, MANIFEST_COLUMNS, SCHEMA_VERSION, SHARDS
from identity_masker.faces.shards import without
from identity_masker.faces.versions import Counts, SnapshotFacts, VersionRecord, VersionStore
from identity_masker.telemetry.logs import logger

FEWEST_PEOPLE = 2
_THREADS = 2
log = logger(__name__)


class Affected(BaseModel):
    """A version that holds pictures of the person, and how many."""

    model_config = ConfigDict(frozen=True)

    version: str
    images: int


def versions_with(identity: str, name: str | None, places: Places) -> list[Affected]:
    """The versions of the dataset `name`, or of all, that hold the person, oldest first."""
    store, repository = VersionStore(places.store), DataRepository(places)
    found = []
    for record in objects.living(store):
        if name is None or record.name == name:
            manifest = repository.fetch(record, only=MANIFEST) / MANIFEST
            rows = pq.read_table(manifest, columns=["identity"], filters=[("identity", "=", identity)])
            if len(rows):
                found.append(Affected(version=record.version, images=len(rows)))
    return found


def make_without(identity: str, record: VersionRecord, places: Places) -> VersionRecord | None:
    """A new version that is `record` without the person, pending until it is validated.

    None where fewer than two people are left, or the version is of another schema than this installation writes: then
    the source is to be ingested anew.
    """
    if record.counts.people <= FEWEST_PEOPLE or record.schema_version != SCHEMA_VERSION:
        return None
    repository, store = DataRepository(places), VersionStore(places.store)
    with repository.staging() as staged, repository.staging() as desk:
        facts = _facts_without(identity, record, repository, staged, desk, store)
        made, _ = register(facts, repository, store)
    log.info("forgotten", version=record.version, new_version=made.version)
    return made


def purge(record: VersionRecord, identity: str, places: Places) -> int:
    """Remove the data of a version that holds the person; how many objects went from the store.

    What other living versions share stays. The record stays too, without the person's name; its reports, which show
    pictures, and the account of its ingestion go. Done again it removes what is left.
    """
    store = VersionStore(places.store)
    try:
        mine = {record.dvc.md5, *objects.listing(record, places).values()}
    except BadInputError:  # lost or damaged: what it named is nobody's now, and goes with `gc`
        mine = {record.dvc.md5}
    _mark_purged(record, identity, store)
    mine -= objects.referenced(objects.living(store), places)
    with DataRepository(places).locked():
        for root in (objects.remote_root(places), objects.cache_root(places)):
            for md5 in sorted(mine):
                artifacts.remove(objects.uri_of(root, md5))
        objects.remove_here(record, places)
    artifacts.remove(record.account_uri)
    artifacts.remove(store.uri(record.name, "reports", record.semver))
    artifacts.remove(store.uri(record.name, "validations", f"{record.semver}.json"))
    artifacts.remove(store.uri(record.name, "work"))
    return len(mine)


def refuse_from_now_on(identity: str, names: set[str], places: Places) -> None:
    """Let no later ingestion into the datasets `names` take the person in again."""
    for name in sorted(names):
        forgotten.add(VersionStore(places.store), name, identity)


def _mark_purged(record: VersionRecord, identity: str, store: VersionStore) -> None:
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    artifacts.write_json(store.uri(record.name, "purged", f"{record.semver}.json"), {"at": moment})
    placed = {person: split for person, split in record.placed.items() if person != identity}
    document = record.model_copy(update={"placed": placed}).model_dump(mode="json")
    artifacts.write_json(store.uri(record.name, "versions", f"{record.semver}.json"), document)


def _facts_without(
    identity: str,
    record: VersionRecord,
    repository: DataRepository,
    staged: Path,
    desk: Path,
    store: VersionStore,
) -> SnapshotFacts:
    source = repository.fetch(record)
    _copy_without(identity, source, staged, record)
    with parquet.connect(desk, _THREADS) as connection:
        merge.view_faces(connection, staged)
        snapshot = merge.content_hash(connection, record.size, record.pictures_version)
        sizes = merge.split_sizes(connection)
        counted = _account_without(identity, record, connection, desk)
    files = stored_files(staged)
    return SnapshotFacts(
        **record.model_dump(
            include={"name", "schema_version", "pictures_version", "size", "origin", "fingerprint", "config"}
        ),
        snapshot=snapshot,
        counts=counted.model_copy(update=sizes),
        placed={person: split for person, split in record.placed.items() if person != identity},
        dvc=repository.publish(staged, files, record.name, snapshot),
        files=files,
        account_uri=account.store(desk / "account", store, record.name),
    )


def _copy_without(identity: str, source: Path, staged: Path, record: VersionRecord) -> None:
    """The files of a snapshot without the person: shards that do not show them are linked, the others written anew."""
    (staged / SHARDS).mkdir()
    for path in record.files:
        if path.startswith(f"{SHARDS}/"):
            _link(source / path, staged / path)
    manifest = pq.read_table(source / MANIFEST)
    gone = pc.equal(manifest["identity"], identity)
    kept = manifest.filter(pc.invert(gone))
    moved = _rewrite_shards(kept, set(manifest.filter(gone)["shard"].to_pylist()), staged, record.size)
    places = [moved.get(place, place) for place in zip(kept["shard"].to_pylist(), kept["row"].to_pylist(), strict=True)]
    columns = {
        "shard": pa.array([shard for shard, _ in places]),
        "row": pa.array([row for _, row in places], pa.int32()),
    }
    for name, values in columns.items():
        kept = kept.set_column(kept.column_names.index(name), name, values)
    pq.write_table(kept.cast(MANIFEST_COLUMNS), staged / MANIFEST)
    for path in record.files:
        if path != MANIFEST and not path.startswith(f"{SHARDS}/"):
            table = pq.read_table(source / path)
            pq.write_table(table.filter(pc.is_in(table["name"], kept["name"].combine_chunks())), staged / path)


def _rewrite_shards(
    kept: pa.Table, shards: set[str], staged: Path, size: int
) -> dict[tuple[str, int], tuple[str, int]]:
    """Write `shards` anew with only their rows in `kept`; where each of these rows is now."""
    rows = defaultdict(list)
    for shard, row in zip(kept["shard"].to_pylist(), kept["row"].to_pylist(), strict=True):
        rows[shard].append(row)
    moved: dict[tuple[str, int], tuple[str, int]] = {}
    for shard in sorted(shards):
        stay = sorted(rows[shard])
        path = without(staged, shard, stay, size)
        moved |= {(shard, row): (str(path), at) for at, row in enumerate(stay)}
    return moved


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _account_without(identity: str, record: VersionRecord, connection: duckdb.DuckDBPyConnection, desk: Path) -> Counts:
    """Write the account of the ingestion without the inputs that name the person into `desk/account`."""
    artifacts.get_file(artifacts.join(record.account_uri, account.INPUTS), desk / account.INPUTS)
    connection.execute(
        f"""
        CREATE VIEW outcomes AS
        SELECT *, file_row_number AS position
        FROM read_parquet({parquet.quoted(str(desk / account.INPUTS))}, file_row_number = true)
        WHERE identity IS DISTINCT FROM {parquet.quoted(identity)}
          AND duplicate_of_identity IS DISTINCT FROM {parquet.quoted(identity)}
        """  # noqa: S608 - quoted
    )
    account.write(connection, desk / "account")
    return account.counts(connection)
