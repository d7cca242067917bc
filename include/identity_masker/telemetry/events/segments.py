"""Segment files: one writer each, sealed by a rename, and adopted by others when the writer died.

`KIND/OPENED-PID-RANDOM.open` belongs to the process that holds its lock; `.log` is sealed and never changes again.
The lock (flock) goes with the process, so a file that is still `.open` and not locked was left by a dead one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from identity_masker.telemetry.events.frames import lines

OPEN, SEALED = ".open", ".log"
_STAMP = "%Y%m%dT%H%M%S%f"


@dataclass(frozen=True)
class Segment:
    """A segment that this process writes. `opened`: when, in UTC."""

    path: Path
    descriptor: int
    opened: datetime


def create(folder: Path, now: datetime) -> Segment:
    """A new segment in `folder`, locked. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        path = folder / f"{now.strftime(_STAMP)}-{os.getpid()}-{uuid.uuid4().hex[:8]}{OPEN}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
        if _locked(path, descriptor):
            return Segment(path, descriptor, now)
        os.close(descriptor)  # adopted between its creation and its lock


def seal(segment: Segment) -> None:
    """Sync and close a segment, and give it its final name; an empty one is removed. Raises OSError."""
    try:
        if os.fstat(segment.descriptor).st_size == 0:
            segment.path.unlink(missing_ok=True)
            return
        os.fsync(segment.descriptor)
        segment.path.rename(segment.path.with_suffix(SEALED))
    finally:
        os.close(segment.descriptor)


def opened_at(path: Path) -> datetime:
    """When a segment was opened, by its name."""
    return datetime.strptime(path.name.split("-", 1)[0], _STAMP).replace(tzinfo=UTC)


def sealed(folder: Path) -> list[Path]:
    """The sealed segments of one kind, oldest first."""
    return sorted(folder.glob(f"*{SEALED}"))


def unsealed(folder: Path) -> list[Path]:
    """The segments of one kind that their writers, or those who adopt them, still have to seal."""
    return sorted(folder.glob(f"*{OPEN}"))


def adopt(folder: Path) -> int:
    """Heal and seal what dead writers of one kind left; the number of torn tails that were cut off."""
    return sum(_adopted(path) for path in unsealed(folder))


def _adopted(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        if not _locked(path, file.fileno()):
            return 0
        size, whole = os.fstat(file.fileno()).st_size, _whole(path)
        if whole == 0:
            path.unlink()
        else:
            os.truncate(file.fileno(), whole)
            os.fsync(file.fileno())
            path.rename(path.with_suffix(SEALED))
        return int(whole < size)
    return 0


def _whole(path: Path) -> int:
    """Bytes up to the end of the last whole line."""
    with path.open("rb") as file:
        return max((line.end for line in lines(file) if line.event is not None), default=0)


def _locked(path: Path, descriptor: int) -> bool:
    """Take the lock; False when another process has it, or sealed or removed the file meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether no other process compacts this log; the place is held for as long as the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "compact.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
