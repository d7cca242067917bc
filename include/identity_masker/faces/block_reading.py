"""The blocks of a plan in the store: read once by whoever comes first, taken from there by who makes the version."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

from identity_masker.errors import NotFoundError, TemporaryError
from identity_masker.faces import work
from identity_masker.faces.block import ROWS, read_block
from identity_masker.faces.data_repository import DataRepository
from identity_masker.faces.plan import NEW, Plan, inputs_of
from identity_masker.faces.versions import VersionStore
from identity_masker.telemetry.logs import logger

_ATTEMPTS = 3

log = logger(__name__)


class Desk(NamedTuple):
    """Where an ingestion works, and with how many threads."""

    repository: DataRepository
    versions: VersionStore
    threads: int


def new_table(made: Plan, desk: Desk, folder: Path) -> Path:
    """Bring the tables of the plan into `folder/plan`; the path of the one that lists the inputs to be read."""
    uri = work.Work(desk.versions, made.config.name).plan_uri(made.id)
    done = work.finished(uri)
    if done is None:
        raise TemporaryError("the plan is gone", got=uri, fix="run again: another ingestion may have carried it out")
    work.take(uri, done, folder / "plan")
    return folder / "plan" / NEW


def ensure(made: Plan, new: Path, block: str, desk: Desk) -> bool:
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


def take(made: Plan, new: Path, block: str, desk: Desk, rows: Path, staged: Path) -> Path:
    """Bring the shards of `block` into `staged`; the path of its table. A block that is not there is read."""
    uri = work.Work(desk.versions, made.config.name).block_uri(block)
    for _ in range(_ATTEMPTS):
        ensure(made, new, block, desk)
        # An ingestion beside this one removes the blocks once it has made the version.
        with contextlib.suppress(NotFoundError):
            done = work.finished(uri)
            if done is not None:
                work.take(uri, done, staged, [path for path in done.files if path != ROWS])
                work.take(uri, done, rows / block, [ROWS])
                return rows / block / ROWS
    raise TemporaryError("a block of the ingestion vanishes while it is used", got=uri, fix="run again")
