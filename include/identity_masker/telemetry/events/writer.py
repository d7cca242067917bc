"""Appends the events of one kind to the segment of this process."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from identity_masker.telemetry import logs
from identity_masker.telemetry.events import room, segments
from identity_masker.telemetry.events.frames import HEAD, MAX_PAYLOAD, frame
from identity_masker.telemetry.events.kinds import Kind, checked
from identity_masker.telemetry.events.measures import EventMeasures
from identity_masker.telemetry.events.room import Bounds
from identity_masker.telemetry.events.segments import Segment

PAUSE_SECONDS = 1.0
"""After a failure events are refused for so long, without a try."""

log = logs.logger(__name__)


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Writer:
    """Appends events of one kind. Safe to use from several threads; each process has its own segment.

    An event is acknowledged when `append` returned True: its line was handed to the operating system, so that it
    survives any death of the process. It survives a power failure once it was synced, which happens every second.
    """

    def __init__(
        self,
        kind: Kind,
        folder: Path,
        bounds: Bounds,
        measures: EventMeasures,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.kind = kind
        self._log_folder = folder
        self._bounds = bounds
        self._measures = measures
        self._clock = clock
        self._lock = threading.Lock()
        self._segment: Segment | None = None
        self._size = 0
        self._unsynced = False
        self._resume_at = 0.0
        self._trouble = ""

    def append(self, event: Mapping[str, Any]) -> bool:
        """Whether the event is in the log; if not, it was counted and the first of a row logged.

        Raises `BadInputError` when its columns are not those of its kind.
        """
        return self.append_all([event])

    def append_all(self, events: Sequence[Mapping[str, Any]]) -> bool:
        """Append all events or none, in one write. Raises `BadInputError` as `append` does."""
        framed = [frame(checked(self.kind, event)) for event in events]
        with self._lock:
            if any(len(line) > HEAD + MAX_PAYLOAD for line in framed):
                return self._refused("too_large", len(framed))
            return self._append(b"".join(framed), len(framed))

    def tick(self) -> None:
        """Sync what was appended since the last tick, and seal the segment when its time is over."""
        with self._lock:
            if self._segment is not None and self._old(self._segment):
                self._seal()
            descriptor = os.dup(self._segment.descriptor) if self._segment is not None and self._unsynced else None
            self._unsynced = False
        if descriptor is not None:
            _sync(descriptor)

    def close(self) -> None:
        """Seal the segment. A later append starts another."""
        with self._lock:
            self._seal()

    def _append(self, data: bytes, count: int) -> bool:
        if time.monotonic() < self._resume_at:
            return self._refused(self._trouble, count)
        try:
            segment = self._ready()
            if segment is None:
                return self._refused(self._trouble, count)
            if os.write(segment.descriptor, data) < len(data):
                raise OSError(errno.ENOSPC, "a part of the line was written")
        except OSError as error:
            self._undo()
            return self._refused(_reason(error), count, pause=True)
        self._size += len(data)
        self._unsynced = True
        self._troubled("")
        self._measures.appended.labels(self.kind).inc(count)
        self._measures.bytes.labels(self.kind).inc(len(data))
        return True

    def _ready(self) -> Segment | None:
        """The segment to write to; None when there is no room for another."""
        if self._segment is not None and (self._size >= self._bounds.segment_bytes or self._old(self._segment)):
            self._seal()
        if self._segment is None:
            folder = self._log_folder / self.kind
            folder.mkdir(parents=True, exist_ok=True)
            if reason := room.shortage(self._log_folder, self._bounds):
                self._pause(reason)
                return None
            self._segment, self._size = segments.create(folder, self._clock()), 0
        return self._segment

    def _old(self, segment: Segment) -> bool:
        return (self._clock() - segment.opened).total_seconds() >= self._bounds.segment_seconds

    def _seal(self) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        try:
            segments.seal(segment)
        except OSError as error:  # whoever adopts it seals it
            log.warning("event_segment_not_sealed", segment=segment.path.name, why=str(error))

    def _undo(self) -> None:
        """Take back a part of a line, so that the next one starts on a line of its own."""
        if self._segment is None:
            return
        try:
            os.ftruncate(self._segment.descriptor, self._size)
        except OSError:
            os.close(self._segment.descriptor)
            self._segment = None  # without its lock, it is healed by whoever adopts it

    def _pause(self, reason: str) -> None:
        self._troubled(reason)
        self._resume_at = time.monotonic() + PAUSE_SECONDS

    def _refused(self, reason: str, count: int, *, pause: bool = False) -> bool:
        if pause:
            self._pause(reason)
        self._measures.dropped.labels(self.kind, reason).inc(count)
        return False

    def _troubled(self, trouble: str) -> None:
        """Log a change only: every event would be a line otherwise."""
        if trouble != self._trouble:
            (log.error if trouble else log.info)("event_log", kind=self.kind, ok=not trouble, why=trouble)
        self._trouble = trouble


def _reason(error: OSError) -> str:
    return "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "io_error"


def _sync(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        log.warning("event_log_not_synced", why=str(error))
    finally:
        os.close(descriptor)
