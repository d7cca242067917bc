"""How much disk an event log may take."""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Bounds(BaseModel):
    """Sizes and times of an event log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    segment_bytes: int = Field(default=16 << 20, ge=1, description="A segment is sealed when it is as large.")
    segment_seconds: float = Field(default=60.0, gt=0, description="A segment is sealed when it is as old.")
    total_bytes: int = Field(default=4 << 30, ge=1, description="All segments of a log; beyond it events are refused.")
    free_bytes: int = Field(default=256 << 20, ge=0, description="What is left of the disk for others.")


def shortage(folder: Path, bounds: Bounds) -> str:
    """Why there is no room for another segment in the log `folder`; empty when there is. Raises OSError."""
    if shutil.disk_usage(folder).free < bounds.free_bytes + bounds.segment_bytes:
        return "disk_full"
    return "log_full" if used(folder) + bounds.segment_bytes > bounds.total_bytes else ""


def used(folder: Path) -> int:
    """Bytes of all segments of a log."""
    total = 0
    for path in folder.glob("*/*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # sealed or compacted meanwhile
            continue
    return total
