"""The event log of one process: a writer for each kind, and the thread that syncs and seals."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from identity_masker.telemetry import logs
from identity_masker.telemetry.events import segments
from identity_masker.telemetry.events.kinds import KINDS, Kind
from identity_masker.telemetry.events.measures import EventMeasures
from identity_masker.telemetry.events.room import Bounds
from identity_masker.telemetry.events.writer import Writer, utc_now

TICK_SECONDS = 1.0
log = logs.logger(__name__)


class EventLog:
    """Appends events under `folder`, where several processes may do so at a time.

    Opening heals what dead processes left. Nothing here raises because of the disk: what cannot be appended is
    refused, counted (`masker_event_log_dropped_total`) and logged.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bounds: Bounds | None = None,
        registry: CollectorRegistry | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`clock`: the time in UTC, by which segments are named and sealed."""
        self.measures = EventMeasures(registry or CollectorRegistry())
        self._writers = {kind: Writer(kind, folder, bounds or Bounds(), self.measures, clock) for kind in KINDS}
        self._heal(folder)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="event-log", daemon=True)
        self._thread.start()

    def writer(self, kind: Kind) -> Writer:
        """The writer of one kind, the same each time."""
        return self._writers[kind]

    def close(self) -> None:
        """Seal all segments. To be called once."""
        self._stop.set()
        self._thread.join()
        for writer in self._writers.values():
            writer.close()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _heal(self, folder: Path) -> None:
        try:
            torn = sum(segments.adopt(folder / kind) for kind in KINDS)
        except OSError as error:
            log.warning("event_log_not_healed", folder=str(folder), why=str(error))
            return
        if torn:
            self.measures.torn.inc(torn)
            log.warning("event_log_healed", folder=str(folder), torn=torn)

    def _tick(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            for writer in self._writers.values():
                writer.tick()
