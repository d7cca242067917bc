"""Pictures that people allowed to be kept. They lie beside the log until it is compacted, then in the store.

`LOG/samples/DAY.UNIT.EVENT.jpg` becomes `STORE/samples/date=DAY/UNIT/EVENT.jpg`, which the request's event names: by
day, so that they expire, and by unit, so that whoever takes consent back has one folder a day.
"""

from __future__ import annotations

import contextlib
import os
import time
from datetime import datetime
from pathlib import Path

from identity_masker import artifacts
from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.telemetry.events import room, segments
from identity_masker.telemetry.events.room import Bounds

FOLDER = "samples"
NOBODY = "nobody"
"""The unit of requests that name no user."""

TORN_SECONDS = 3600.0
_KEPT, _MAKING = ".jpg", ".part"


def write(log: Path, event_id: str, unit: str, moment: datetime, content: bytes, bounds: Bounds) -> str:
    """Put the JPEG `content` beside the log; its place in the store, relative, or nothing when there is no room.

    Raises OSError.
    """
    folder = log / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if room.shortage(log, bounds):
        return ""
    name = f"{moment:%Y-%m-%d}.{unit or NOBODY}.{event_id}"
    making = folder / f"{name}{_MAKING}"
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    making.rename(folder / f"{name}{_KEPT}")
    return _place(name)


def move(log: Path, store: str) -> int:
    """Move what lies beside the log into the store; how many. To be called by the one who compacts the log."""
    _forget_torn(log / FOLDER)
    found = sorted((log / FOLDER).glob(f"*{_KEPT}"))
    for path in found:
        artifacts.put_file(artifacts.join(store, _place(path.stem)), path)
        path.unlink()
    return len(found)


def withdraw(log: Path, store: str, unit: str) -> int:
    """Remove all pictures of a unit, beside the log and in the store; how many.

    Raises `BadInputError` for no unit, `TemporaryError` while the log is being compacted.
    """
    if not unit or unit == NOBODY or not unit.isalnum():
        raise BadInputError("not a unit", got=unit, allowed="what `masker events unit USER` prints")
    with segments.alone(log) as free:
        if not free:
            raise TemporaryError("a compaction of this log runs", got=log, fix="run this again when it has ended")
        beside = list((log / FOLDER).glob(f"*.{unit}.*"))
        for path in beside:
            path.unlink()
        days = (artifacts.join(store, FOLDER, day, unit) for day in artifacts.names(artifacts.join(store, FOLDER)))
        return len(beside) + sum(_removed(folder) for folder in days)


def _forget_torn(folder: Path) -> None:
    """Remove what killed processes were writing."""
    for path in folder.glob(f"*{_MAKING}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > TORN_SECONDS:
                path.unlink()


def _removed(folder: str) -> int:
    found = len(artifacts.tree(folder))
    if found:
        artifacts.remove(folder)
    return found


def _place(name: str) -> str:
    """The place in the store of what is called `name` beside the log."""
    day, unit, event_id = name.split(".")
    return f"{FOLDER}/date={day}/{unit}/{event_id}{_KEPT}"
