"""Ingestion: from a source to a pending dataset version, with every input accounted for.

Three pieces of work, each safe to repeat and to do twice at once: `plan` lists the source and says what is new in it,
`read` reads a part of that, `carry_out` reads what is still missing and makes the version.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import duckdb

from identity_masker import artifacts
from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.faces import block_reading, work
from identity_masker.faces.block_reading import Desk
from identity_masker.faces.data_repository import DataRepository, Places
from identity_masker.faces.dataset_config import DatasetConfig
from identity_masker.faces.ingest_results import IngestResult, Part, PlanResult, ReadResult, known_result
from identity_masker.faces.plan import Plan, make_plan, read_plan, unchanged
from identity_masker.faces.publication import publish
from identity_masker.faces.versions import VersionRecord, VersionStore
from identity_masker.telemetry.logs import logger

PART_BLOCKS, MOST_PARTS = 8, 512

log = logger(__name__)


def ingest(config: DatasetConfig, places: Places, workers: int) -> IngestResult:
    """Read the source of `config` and make a snapshot of it; the version is pending until it is validated.

    The same source and configuration give the same snapshot and no new version. Nothing of an ingestion that
    fails or is killed is visible; the next one goes on where it ended. Raises `SourceRefusedError` for a source with
    fewer than two people, `TemporaryError` when the disk is full or the store does not answer.
    """
    started = time.monotonic()
    desk = Desk(DataRepository(places), VersionStore(places.store), workers)
    with _disk_errors(desk.repository):
        with desk.repository.staging() as folder:
            plan = make_plan(config, desk.versions, folder, workers)
        if isinstance(plan, VersionRecord):
            log.info("source_unchanged", version=plan.version)
            return known_result(plan, started)
        return _carry_out(plan, desk, started)


def plan(config: DatasetConfig, places: Places, workers: int) -> PlanResult:
    """List the source of `config` and say what is to be read; nothing is read yet."""
    started = time.monotonic()
    desk = Desk(DataRepository(places), VersionStore(places.store), workers)
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
    desk = Desk(DataRepository(places), VersionStore(places.store), workers)
    made = read_plan(uri)
    if not 0 <= part < _parts(made):
        raise BadInputError("the plan has no such part", got=part, allowed=f"0 to {_parts(made) - 1}")
    length = _part_blocks(made)
    blocks = made.blocks[part * length : (part + 1) * length]
    with _disk_errors(desk.repository), desk.repository.staging() as folder:
        new = block_reading.new_table(made, desk, folder)
        done = [block_reading.ensure(made, new, block, desk) for block in blocks]
    return ReadResult(
        plan=uri, part=part, blocks=done.count(True), found=done.count(False),
        seconds=round(time.monotonic() - started, 3),
    )  # fmt: skip


def carry_out(uri: str, places: Places, workers: int) -> IngestResult:
    """Make the version that the plan at `uri` is for; what of it has not been read yet is read now.

    Raises as `ingest` does, and `NotFoundError` for a plan that is not there.
    """
    started = time.monotonic()
    desk = Desk(DataRepository(places), VersionStore(places.store), workers)
    if "/" not in uri:
        return known_result(desk.versions.record(uri), started)
    with _disk_errors(desk.repository):
        return _carry_out(read_plan(uri), desk, started)


def _carry_out(made: Plan, desk: Desk, started: float) -> IngestResult:
    with desk.repository.staging() as folder, desk.repository.staging() as staged:
        same = unchanged(made.config, made.fingerprint, desk.versions.living(made.config.name))
        if same is not None:  # somebody else was quicker
            return known_result(same, started)
        new = block_reading.new_table(made, desk, folder)
        rows = [block_reading.take(made, new, block, desk, folder / "blocks", staged) for block in made.blocks]
        result = publish(made, rows, desk, folder, staged, started)
    work.Work(desk.versions, made.config.name).clear(made.id, list(made.blocks))
    return result


def _parts(made: Plan) -> int:
    """How many parts the plan has; none when its blocks are too few to be worth tasks of their own."""
    if len(made.blocks) <= PART_BLOCKS:
        return 0
    return -(-len(made.blocks) // _part_blocks(made))


def _part_blocks(made: Plan) -> int:
    return max(PART_BLOCKS, -(-len(made.blocks) // MOST_PARTS))


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
