"""The events since a time, wherever they are: in the store, or still in segments that nobody compacted yet."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from identity_masker import artifacts, duck
from identity_masker.telemetry import event_store
from identity_masker.telemetry.events import hour_files, segments
from identity_masker.telemetry.events.frames import lines
from identity_masker.telemetry.events.kinds import Kind


def newest(folder: Path, store: str, kind: Kind, since: datetime, limit: int) -> list[dict[str, Any]]:
    """The newest `limit` events of `kind` since then, newest first, each once; `time` as ISO 8601 in UTC."""
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as work:
        # Segments first: what is compacted while this runs is met twice rather than never.
        waiting = hour_files.spread(_waiting(folder / kind), kind, Path(work))
        parts = [path for paths in waiting.values() for path in paths]
        stored = [_at_hand(uri, Path(work), at) for at, uri in enumerate(event_store.files(store, kind, since, now))]
        if not parts and not stored:
            return []
        columns = ", ".join(f'"{name}"' for name in hour_files.schema(kind).names if name != "time")
        source = hour_files.parquet([hour_files.empty(kind, Path(work)), *parts, *stored])
        recent = f"SELECT * FROM {source} WHERE epoch_us(time) >= {_microseconds(since)}"  # noqa: S608
        once = f"SELECT DISTINCT ON (event_id) * FROM ({recent}) ORDER BY event_id, time"  # noqa: S608
        query = f"SELECT epoch_us(time) AS time, {columns} FROM ({once}) ORDER BY time DESC, event_id LIMIT {limit:d}"  # noqa: S608
        with duck.connect() as connection:
            rows = connection.sql(query)
            found = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
    return [{**row, "time": _iso(row["time"])} for row in found]


def _waiting(folder: Path) -> Iterator[dict[str, Any]]:
    for path in [*segments.unsealed(folder), *segments.sealed(folder)]:
        with contextlib.suppress(FileNotFoundError), _opened(path) as file:  # compacted: then the store has it
            yield from (line.event for line in lines(file) if line.event is not None)


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError:  # sealed meanwhile
        return path.with_suffix(segments.SEALED).open("rb")


def _at_hand(uri: str, work: Path, number: int) -> Path:
    if artifacts.is_local(uri):
        return Path(uri)
    target = work / f"stored-{number}.parquet"
    artifacts.get_file(uri, target)
    return target


def _microseconds(time: datetime) -> int:
    return round(time.timestamp() * 1_000_000)


def _iso(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).isoformat(timespec="microseconds")
