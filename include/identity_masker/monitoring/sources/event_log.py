"""The event log: what waits to be compacted, and how far the store is whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from identity_masker.monitoring.sample import Family, Sample
from identity_masker.monitoring.sources.events import whole_until
from identity_masker.telemetry import event_store
from identity_masker.telemetry.events import segments
from identity_masker.telemetry.events.kinds import KINDS

DAYS = 2
WAITING = Family("masker_events_waiting_bytes", "Events that are not compacted yet.", ("kind",))
SEGMENTS = Family("masker_events_waiting_segments", "Segments that are not compacted yet.", ("kind",))
OLDEST = Family("masker_events_oldest_waiting_timestamp_seconds", "When the oldest of them was opened.", ("kind",))
WHOLE = Family("masker_events_whole_until_timestamp_seconds", "All hours before it are compacted and whole.")
MISSING = Family("masker_events_missing_hours", "Hours of the last two days that are over and not whole.", ("kind",))


class EventLogSource:
    """Looks at the folder that servers append to, and at the store."""

    name = "event_log"
    every = 30.0
    families = (WAITING, SEGMENTS, OLDEST, WHOLE, MISSING)

    def __init__(self, folder: Path, store: str) -> None:
        self._folder = folder
        self._store = store

    def read(self) -> Iterator[Sample]:
        for kind in KINDS:
            folder = self._folder / kind
            paths = [*segments.sealed(folder), *segments.unsealed(folder)]
            yield SEGMENTS.sample(len(paths), kind)
            yield WAITING.sample(sum(map(_size, paths)), kind)
            if paths:
                yield OLDEST.sample(min(map(segments.opened_at, paths)).timestamp(), kind)
        now = datetime.now(UTC)
        until = whole_until(self._store, now, DAYS)
        if until is None:
            return
        yield WHOLE.sample(until.timestamp())
        for kind in KINDS:
            missing = event_store.missing_hours(self._store, kind, until, event_store.hour_of(now))
            yield MISSING.sample(len(missing), kind)


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):  # compacted meanwhile
        return path.stat().st_size
    return 0
