"""Watching real processes."""

from __future__ import annotations

import time
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether `pid` runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def survivors(pids: list[int], *, within: float = 5.0) -> list[int]:
    """Those of `pids` that still run after `within` seconds; returns at once when there are none."""
    deadline = time.monotonic() + within
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def written_pids(file: Path, *, count: int, within: float = 10.0) -> list[int]:
    """The `count` pids that processes wrote to `file`, one a line, as soon as they are there."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        lines = file.read_text().split() if file.exists() else []
        if len(lines) >= count:
            return [int(line) for line in lines]
        time.sleep(0.02)
    raise AssertionError(f"{file} holds {lines} after {within} s, not {count} pids")
