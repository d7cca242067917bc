"""The DVC repository of this machine: where snapshots lie, and how they travel to the store and back.

`MASKER_HOME/data` is a DVC repository without Git whose remote is `<store>/dvc`. Each snapshot is one tracked
folder `NAME/SNAPSHOT`. A machine that has only the store's URI makes its own such repository and pulls.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import yaml

from identity_masker import artifacts
from identity_masker.errors import MaskerError, TemporaryError
from identity_masker.faces.versions import SnapshotFacts, StoredFile, Tracked

if TYPE_CHECKING:
    from dvc.repo import Repo

_REMOTE = "store"
_LOCK_SECONDS = 600.0


@dataclass(frozen=True)
class Places:
    """Where data lie: the home folder of this machine, and the URI of the store that all machines share."""

    home: Path
    store: str


class DataRepository:
    """The snapshots on this machine."""

    def __init__(self, places: Places) -> None:
        self.root = places.home / "data"
        self._remote = artifacts.join(places.store, "dvc").removeprefix("file://")

    def folder(self, name: str, snapshot: str) -> Path:
        return self.root / name / snapshot

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty folder that is gone afterwards, whatever happens; what a killed process left is gone too."""
        root = self.root / ".staging"
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        folder = root / uuid.uuid4().hex
        with (root / f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                (root / f"{folder.name}.lock").unlink(missing_ok=True)

    def publish(self, staged: Path, files: dict[str, StoredFile], name: str, snapshot: str) -> Tracked:
        """Move the finished folder `staged` with `files` to its place, track it with DVC, push it to the store."""
        target = self.folder(name, snapshot)
        with self.locked(), self._repository() as repository:
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.is_dir() or stored_files(target) != files:
                # Leftovers of an ingestion or a fetch that was killed.
                shutil.rmtree(target, ignore_errors=True)
                staged.rename(target)
            relative = f"{name}/{snapshot}"
            with _dvc_errors(f"storing {relative} at {self._remote}"):
                stage = repository.add([relative])[0]
                repository.push(targets=[relative])
            output = stage.outs[0]
            return Tracked(md5=output.hash_info.value, size=output.meta.size, nfiles=output.meta.nfiles)

    def fetch(self, facts: SnapshotFacts, only: str | None = None) -> Path:
        """The folder of a snapshot, pulled from the store where files are not here; `only` asks for one file."""
        folder = self.folder(facts.name, facts.snapshot)
        wanted = facts.files if only is None else {only: facts.files[only]}
        if _complete(folder, wanted):
            return folder
        relative = f"{facts.name}/{facts.snapshot}"
        with self.locked(), self._repository() as repository:
            _write_pointer(self.root / f"{relative}.dvc", facts)
            with _dvc_errors(f"fetching {relative} from {self._remote}"):
                repository.pull(targets=[relative if only is None else f"{relative}/{only}"], force=True)
        if not _complete(folder, wanted):
            raise MaskerError(
                "the store does not hold the whole dataset",
                got=f"{relative} in {self._remote}",
                fix="ingest it again, or restore the store from its backup",
            )
        return folder

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """DVC's work in this repository, one process at a time."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as lock:
            _acquire(lock, self.root)
            yield

    @contextlib.contextmanager
    def _repository(self) -> Iterator[Repo]:
        from dvc.repo import Repo

        _quiet()
        self._configure()
        # DVC resolves targets against the working directory.
        with contextlib.closing(Repo(str(self.root))) as repository, contextlib.chdir(self.root):
            yield repository

    def _configure(self) -> None:
        """Make this a DVC repository that keeps all its state in itself: in a pod nothing else may be writable."""
        from dvc.config import Config

        folder = self.root / ".dvc"
        folder.mkdir(exist_ok=True)
        wanted = {
            "core": {
                "no_scm": True,
                "analytics": False,
                "check_update": False,
                "remote": _REMOTE,
                "site_cache_dir": str(folder / "tmp" / "site"),
            },
            # Snapshots are never written to again, so a second copy in DVC's cache would only cost room.
            "cache": {"type": ["hardlink", "copy"]},
            "remote": {_REMOTE: {"url": self._remote}},
        }
        opened = Config(str(folder)) if (folder / "config").exists() else Config.init(str(folder))
        with opened.edit("repo") as config:
            for section, values in wanted.items():
                config.setdefault(section, {}).update(values)


def _quiet() -> None:
    """Leave DVC's log lines to the project's handlers: on import it adds some of its own, which write to stdout."""
    for name in ("dvc", "dvc_objects", "dvc_data"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.WARNING)


def stored_files(folder: Path) -> dict[str, StoredFile]:
    """Checksum and size of every file under `folder`, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): StoredFile(sha256=artifacts.sha256_file(path), bytes=path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _complete(folder: Path, files: dict[str, StoredFile]) -> bool:
    return all((folder / path).is_file() and (folder / path).stat().st_size == f.bytes for path, f in files.items())


def _write_pointer(path: Path, facts: SnapshotFacts) -> None:
    """The `.dvc` file that tells DVC what belongs in the snapshot's folder."""
    out = {**facts.dvc.model_dump(), "hash": "md5", "path": facts.snapshot}
    artifacts.write_bytes(str(path), yaml.safe_dump({"outs": [out]}, sort_keys=False).encode())


def _sweep(root: Path) -> None:
    """Remove staging folders whose process no longer lives: its lock is free."""
    for path in root.glob("*.lock"):
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink(missing_ok=True)


def _acquire(lock: IO[str], root: Path) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TemporaryError(
                    "another process has used the data repository for too long",
                    got=f"{root}, waited {_LOCK_SECONDS:.0f} s",
                    fix="wait for it to end, or end it",
                ) from None
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def _dvc_errors(doing: str) -> Iterator[None]:
    """Failures of DVC and of the store behind it, in words."""
    from botocore.exceptions import BotoCoreError, ClientError
    from dvc.exceptions import DvcException

    try:
        yield
    except (DvcException, BotoCoreError, ClientError, OSError) as error:
        cause = error.__cause__ or error.__context__ or error
        if isinstance(error, OSError):
            told = artifacts.disk_error(error, Path(error.filename or os.curdir))
            if isinstance(told, MaskerError):
                raise told from error
        raise TemporaryError(
            "the dataset could not be exchanged with the store",
            got=f"{doing}: {type(cause).__name__}: {cause}",
            fix="check that the store is reachable and has room, then run again",
        ) from error
