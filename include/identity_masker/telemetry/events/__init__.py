"""The event log: requests, exposures and outcomes, appended by servers and compacted into Parquet by hour."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from identity_masker.telemetry.events.log import EventLog
from identity_masker.telemetry.events.writer import Writer

if TYPE_CHECKING:
    from identity_masker.telemetry.events.compaction import CompactionResult

__all__ = ["EventLog", "Writer", "compact"]


def compact(folder: Path, store: str, now: datetime) -> CompactionResult:
    """Move the sealed segments of the log `folder` into the store; see `compaction.compact`."""
    # DuckDB and Arrow take a second to import, and servers only append.
    from identity_masker.telemetry.events import compaction

    return compaction.compact(folder, store, now)
