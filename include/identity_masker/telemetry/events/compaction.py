"""Moves sealed segments into the store: one Parquet file an hour, each event once, whatever is interrupted.

For each hour the stored file is replaced as a whole by itself and the new events, without those that it has already.
A segment is removed only when all its hours are stored. So a run that was killed is repeated by the next one, and
what it had stored already is not stored twice.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from identity_masker import artifacts
from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.telemetry import event_store, logs
from identity_masker.telemetry.events import hour_files, samples, segments
from identity_masker.telemetry.events.completion import mark
from identity_masker.telemetry.events.frames import lines
from identity_masker.telemetry.events.kinds import KINDS, Kind, checked

GRACE = timedelta(minutes=2)
"""An hour is whole so long after its end: by then its last requests are answered and their segments sealed."""

BATCH_BYTES = 1 << 30
WORK = "compacting"
log = logs.logger(__name__)


class CompactionResult(BaseModel):
    """What a compaction did."""

    model_config = ConfigDict(extra="forbid")

    events: int = Field(default=0, description="Events that the store did not have.")
    duplicates: int = Field(default=0, description="Events that it had already, or that came twice.")
    segments: int = 0
    hours_written: int = 0
    torn: int = Field(default=0, description="Tails of dead writers that were cut off.")
    damaged: int = Field(default=0, description="Lines that could not be read.")
    rejected: int = Field(default=0, description="Events with other columns than their kind has.")
    samples: int = Field(default=0, description="Pictures kept with consent that were moved into the store.")
    complete_until: datetime | None = Field(default=None, description="All hours before it are whole.")


class LogState(BaseModel):
    """What the folder of a log remembers: the name of its files in the store, and what is whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    complete_until: datetime


def compact(folder: Path, store: str, now: datetime) -> CompactionResult:
    """Move the sealed segments of the log `folder` into `store`, and mark the hours that are whole at `now`.

    Raises `TemporaryError` when another compaction of this log runs, the store does not answer or a disk is full,
    `BadInputError` when the folder cannot be used.
    """
    try:
        with segments.alone(folder) as free:
            if not free:
                raise TemporaryError("another compaction of this log runs", got=folder, fix="wait until it has ended")
            return _Compaction(folder, store, now).run()
    except OSError as error:
        raise artifacts.disk_error(error, folder) from error


class _Compaction:
    def __init__(self, folder: Path, store: str, now: datetime) -> None:
        self._folder = folder
        self._store = store
        self._now = now
        self._result = CompactionResult()
        self._work = folder / WORK

    def run(self) -> CompactionResult:
        self._clear()
        self._result.torn = sum(segments.adopt(self._folder / kind) for kind in KINDS)
        # Before the sealed ones are listed: a segment that is sealed in between is among those.
        writing = [segments.opened_at(path) for kind in KINDS for path in segments.unsealed(self._folder / kind)]
        sealed = {kind: segments.sealed(self._folder / kind) for kind in KINDS}
        first = min([*writing, *(segments.opened_at(path) for paths in sealed.values() for path in paths), self._now])
        state = self._state(first)
        self._result.samples = samples.move(self._folder, self._store)  # before the events that name them
        for kind in KINDS:
            self._store_kind(kind, sealed[kind], state)
        until = max(state.complete_until, event_store.hour_of(min([*writing, self._now]) - GRACE))
        for hour in event_store.hours(state.complete_until, until):
            for kind in KINDS:
                mark(self._store, kind, hour)
        self._save(LogState(name=state.name, complete_until=until))
        self._result.complete_until = until
        log.info("events_compacted", **self._result.model_dump(mode="json"))
        return self._result

    def _store_kind(self, kind: Kind, paths: list[Path], state: LogState) -> None:
        for batch in _batches(paths):
            self._work.mkdir()
            for hour, parts in hour_files.spread(self._rows(kind, batch), kind, self._work).items():
                self._store_hour(artifacts.join(event_store.hour_uri(self._store, kind, hour), state.name), kind, parts)
                if hour < state.complete_until and self._was_complete(kind, hour):  # events that came late
                    mark(self._store, kind, hour)
            for path in batch:
                path.unlink()
            self._result.segments += len(batch)
            self._clear()

    def _rows(self, kind: Kind, batch: list[Path]) -> Iterator[dict[str, Any]]:
        for path in batch:
            with path.open("rb") as file:
                for line in lines(file):
                    if line.event is None:
                        self._result.damaged += 1
                        continue
                    try:
                        yield checked(kind, line.event)
                    except BadInputError as error:
                        self._result.rejected += 1
                        log.error("event_rejected", kind=kind, segment=path.name, why=str(error))

    def _store_hour(self, uri: str, kind: Kind, parts: list[Path]) -> None:
        stored, target = self._fetched(uri), self._work / "merged.parquet"
        had = hour_files.rows_of(stored) if stored is not None else 0
        given = sum(hour_files.rows_of(part) for part in parts)
        total = hour_files.merge(kind, stored, parts, target)
        if total > had:
            artifacts.put_file(uri, target)
            self._result.hours_written += 1
        self._result.events += total - had
        self._result.duplicates += had + given - total

    def _fetched(self, uri: str) -> Path | None:
        if not artifacts.exists(uri):
            return None
        target = self._work / "stored.parquet"
        artifacts.get_file(uri, target)
        return target

    def _was_complete(self, kind: Kind, hour: datetime) -> bool:
        uri = artifacts.join(event_store.hour_uri(self._store, kind, hour), event_store.COMPLETE)
        return artifacts.exists(uri)

    def _clear(self) -> None:
        if self._work.exists():
            shutil.rmtree(self._work)

    def _state(self, first: datetime) -> LogState:
        path = self._folder / "state.json"
        if path.exists():
            return artifacts.read_model(LogState, str(path))
        # A name of its own: should several logs share a store, none replaces the files of another.
        state = LogState(name=f"{uuid.uuid4().hex[:12]}.parquet", complete_until=event_store.hour_of(first))
        self._save(state)
        return state

    def _save(self, state: LogState) -> None:
        artifacts.write_json(str(self._folder / "state.json"), state.model_dump(mode="json"))


def _batches(paths: list[Path]) -> Iterator[list[Path]]:
    """Segments in groups of 1 GiB: what is written beside them stays bounded."""
    batch, size = list[Path](), 0
    for path in paths:
        batch.append(path)
        size += path.stat().st_size
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
