"""Ingestion: from a source to a pending dataset version, with every input accounted for.

Three pieces of work, each safe to repeat and to do twice at once: `plan` lists the source and says what is new in it,
`read` reads a part of that, `carry_out` reads what is still missing and makes the version.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb
from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import BadInputError, NotFoundError, TemporaryError
from identity_masker.faces import account, forgotten, listing, merge, parquet, work
from identity_masker.faces.block import ROWS, read_block
from identity_masker.faces.data_repository import DataRepository, Places, stored_files
from identity_masker.faces.dataset_config import DatasetConfig
from identity_masker.faces.plan import NEW, Plan, inputs_of, make_plan, read_plan, unchanged, view_known
from identity_masker.faces.registration import register
from identity_masker.faces.schema import SCHEMA_VERSION
from identity_masker.faces.versions import Counts, SnapshotFacts, VersionRecord, VersionStore
from identity_masker.telemetry.logs import logger

FEWEST_PEOPLE = 2
PART_BLOCKS, MOST_PARTS = 8, 512
_ATTEMPTS = 3

log = logger(__name__)


class IngestResult(BaseModel):
    """What an ingestion did. `snapshot` and `version` are None when the source was refused as a whole.

    `read` inputs were opened, of the others the outcome was known. `account_uri` is the folder of `inputs.parquet`,
    which has the outcome of every input, and of `quarantine.parquet` and `duplicates.parquet`.
    """

    model_config = ConfigDict(frozen=True)

    dataset: str
    snapshot: str | None
    version: str | None
    new_version: bool
    inputs: int
    read: int
    accepted: int
    quarantined: int
    duplicates: int
    reasons: dict[str, int]
    people: int
    splits: dict[str, int]
    account_uri: str
    seconds: float


class Part(BaseModel):
    """Blocks of a plan that one task reads."""

    model_config = ConfigDict(frozen=True)

    plan: str
    part: int


class PlanResult(BaseModel):
    """`parts` are to be read apart from one another; there are none when `carry_out` can as well read all itself.

    `version` is the one that was made of the same inputs before, else None.
    """

    model_config = ConfigDict(frozen=True)

    dataset: str
    plan: str
    inputs: int
    new: int
    parts: tuple[Part, ...]
    version: str | None
    seconds: float


class ReadResult(BaseModel):
    """What reading a part did; `blocks` were read now, `found` had been read before."""

    model_config = ConfigDict(frozen=True)

    plan: str
    part: int
    blocks: int
    found: int
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


class _Desk(NamedTuple):
    """Where an ingestion works, and with how many threads."""

    repository: DataRepository
    versions: VersionStore
    threads: int


def ingest(config: DatasetConfig, places: Places, workers: int) -> IngestResult:
    """Read the source of `config` and make a snapshot of it; the version is pending until it is validated.

    The same source and configuration give the same snapshot and no new version. Nothing of an ingestion that
    fails or is killed is visible; the next one goes on where it ended. Raises `SourceRefusedError` for a source with
    fewer than two people, `TemporaryError` when the disk is full or the store does not answer.
    """
    started = time.monotonic()
    desk = _Desk(DataRepository(places), VersionStore(places.store), workers)
    with _disk_errors(desk.repository):
        with desk.repository.staging() as folder:
            plan = make_plan(config, desk.versions, folder, workers)
        if isinstance(plan, VersionRecord):
            log.info("source_unchanged", version=plan.version)
            return _known(plan, started)
        return _carry_out(plan, desk, started)


def plan(config: DatasetConfig, places: Places, workers: int) -> PlanResult:
    """List the source of `config` and say what is to be read; nothing is read yet."""
    started = time.monotonic()
    desk = _Desk(DataRepository(places), VersionStore(places.store), workers)
    with _disk_errors(desk.repository), desk.repository.staging() as folder:
        made = make_plan(config, desk.versions, folder, workers)
    if isinstance(made, VersionRecord):
        # The plan of what is known is the version itself.
        uri, parts, inputs, new = made.version, 0, made.counts.inputs, 0
    else:
        uri, parts = work.Work(desk.versions, config.name).plan_uri(made.id), _parts(made)
        inputs, new = made.inputs, made.new
    log.info("planned", inputs=inputs, new=new, parts=parts)
    return PlanResult(
        dataset=config.name,
        plan=uri,
        inputs=inputs,
        new=new,
        parts=tuple(Part(plan=uri, part=part) for part in range(parts)),
        version=made.version if isinstance(made, VersionRecord) else None,
        seconds=round(time.monotonic() - started, 3),
    )


def read(uri: str, part: int, places: Places, workers: int) -> ReadResult:
    """Read part `part` of the plan at `uri`. Blocks that are there already, from whomever, are not read again."""
    started = time.monotonic()
    desk = _Desk(DataRepository(places), VersionStore(places.store), workers)
    made = read_plan(uri)
    if not 0 <= part < _parts(made):
        raise BadInputError("the plan has no such part", got=part, allowed=f"0 to {_parts(made) - 1}")
    length = _part_blocks(made)
    blocks = made.blocks[part * length : (part + 1) * length]
    with _disk_errors(desk.repository), desk.repository.staging() as folder:
        new = _new_table(made, desk, folder)
        done = [_ensure(made, new, block, desk) for block in blocks]
    return ReadResult(
        plan=uri, part=part, blocks=done.count(True), found=done.count(False),
        seconds=round(time.monotonic() - started, 3),
    )  # fmt: skip


def carry_out(uri: str, places: Places, workers: int) -> IngestResult:
    """Make the version that the plan at `uri` is for; what of it has not been read yet is read now.

    Raises as `ingest` does, and `NotFoundError` for a plan that is not there.
    """
    started = time.monotonic()
    desk = _Desk(DataRepository(places), VersionStore(places.store), workers)
    if "/" not in uri:
        return _known(desk.versions.record(uri), started)
    with _disk_errors(desk.repository):
        return _carry_out(read_plan(uri), desk, started)


def _carry_out(made: Plan, desk: _Desk, started: float) -> IngestResult:
    with desk.repository.staging() as folder, desk.repository.staging() as staged:
        same = unchanged(made.config, made.fingerprint, desk.versions.living(made.config.name))
        if same is not None:  # somebody else was quicker
            return _known(same, started)
        new = _new_table(made, desk, folder)
        rows = [_take(made, new, block, desk, folder / "blocks", staged) for block in made.blocks]
        result = _merged(made, rows, desk, folder, staged, started)
    work.Work(desk.versions, made.config.name).clear(made.id, list(made.blocks))
    return result


def _merged(made: Plan, rows: list[Path], desk: _Desk, folder: Path, staged: Path, started: float) -> IngestResult:
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
            result = _result(counts, account_uri, started, read=made.new, name=made.config.name)
            raise SourceRefusedError(result, got=_found(counts, made.config))
        record, new = _registered(made, connection, counts, account_uri, desk, staged)
    log.info("ingested", version=record.version, new=new, **counts.model_dump(include={"accepted", "quarantined"}))
    # The same pictures may have been found beside other refused ones, so the account is this one's own.
    counts = counts.model_copy(update={"split_images": record.counts.split_images})
    return _result(counts, account_uri, started, read=made.new, record=record, new=new)


def _registered(
    made: Plan,
    connection: duckdb.DuckDBPyConnection,
    counts: Counts,
    account_uri: str,
    desk: _Desk,
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


def _new_table(made: Plan, desk: _Desk, folder: Path) -> Path:
    """Bring the tables of the plan into `folder/plan`; the path of the one that lists the inputs to be read."""
    uri = work.Work(desk.versions, made.config.name).plan_uri(made.id)
    done = work.finished(uri)
    if done is None:
        raise TemporaryError("the plan is gone", got=uri, fix="run again: another ingestion may have carried it out")
    work.take(uri, done, folder / "plan")
    return folder / "plan" / NEW


def _ensure(made: Plan, new: Path, block: str, desk: _Desk) -> bool:
    """Read `block` unless it is there already; whether it was read now."""
    uri = work.Work(desk.versions, made.config.name).block_uri(block)
    if work.finished(uri) is not None:
        return False
    started = time.monotonic()
    inputs = inputs_of(made, new, block)
    with desk.repository.staging() as folder:
        read_block(made.config, inputs, folder, desk.threads)
        work.keep(uri, folder)
    log.info("block_read", block=block, inputs=len(inputs), seconds=round(time.monotonic() - started, 3))
    return True


def _take(made: Plan, new: Path, block: str, desk: _Desk, rows: Path, staged: Path) -> Path:
    """Bring the shards of `block` into `staged`; the path of its table. A block that is not there is read."""
    uri = work.Work(desk.versions, made.config.name).block_uri(block)
    for _ in range(_ATTEMPTS):
        _ensure(made, new, block, desk)
        # An ingestion beside this one removes the blocks once it has made the version.
        with contextlib.suppress(NotFoundError):
            done = work.finished(uri)
            if done is not None:
                work.take(uri, done, staged, [path for path in done.files if path != ROWS])
                work.take(uri, done, rows / block, [ROWS])
                return rows / block / ROWS
    raise TemporaryError("a block of the ingestion vanishes while it is used", got=uri, fix="run again")


def _parts(made: Plan) -> int:
    """How many parts the plan has; none when its blocks are too few to be worth tasks of their own."""
    if len(made.blocks) <= PART_BLOCKS:
        return 0
    return -(-len(made.blocks) // _part_blocks(made))


def _part_blocks(made: Plan) -> int:
    return max(PART_BLOCKS, -(-len(made.blocks) // MOST_PARTS))


def _found(counts: Counts, config: DatasetConfig) -> str:
    people = "1 person" if counts.people == 1 else f"{counts.people} people"
    refused = ", ".join(f"{count} {reason}" for reason, count in counts.reasons.items())
    return f"{people} in {counts.inputs} inputs of {config.reader.origin()}" + (f" ({refused})" if refused else "")


def _known(record: VersionRecord, started: float) -> IngestResult:
    return _result(record.counts, record.account_uri, started, read=0, record=record)


def _result(
    counts: Counts,
    account_uri: str,
    started: float,
    *,
    read: int,
    record: VersionRecord | None = None,
    new: bool = False,
    name: str = "",
) -> IngestResult:
    return IngestResult(
        dataset=record.name if record else name,
        snapshot=record.snapshot if record else None,
        version=record.version if record else None,
        new_version=new,
        read=read,
        splits=counts.split_images,
        account_uri=account_uri,
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


@contextlib.contextmanager
def _disk_errors(repository: DataRepository) -> Iterator[None]:
    """Failures of the disk in words: DuckDB and Arrow have errors of their own for a full one."""
    try:
        yield
    except duckdb.Error as error:
        if "space" not in str(error).lower():
            raise
        raise TemporaryError(
            "no space left on the disk", got=f"{repository.root}: {error}", fix="free space, then run again"
        ) from error
    except OSError as error:
        raise artifacts.disk_error(error, repository.root) from error
