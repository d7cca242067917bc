"""Tells a process that hangs from one that only gets little of a busy machine."""

from __future__ import annotations

import os
import time
from pathlib import Path

FIRST_FIELD = 3
"""Number of the first field after the name in /proc/PID/stat, see proc(5)."""

USER_TIME, SYSTEM_TIME = 14, 15


def cpu_seconds(pid: int) -> float | None:
    """Processor time that a process has had; None where the system does not say, or there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    ticks = sum(int(fields[number - FIRST_FIELD]) for number in (USER_TIME, SYSTEM_TIME))
    return ticks / os.sysconf("SC_CLK_TCK")


class Patience:
    """With one piece of work of a process.

    It is over when the process got no processor time for `seconds`, or has used up `seconds` of it. Where the system
    does not say how much it got, `seconds` on the clock count.
    """

    def __init__(self, pid: int, seconds: float) -> None:
        self._pid, self._seconds = pid, seconds
        self._had = self._last = cpu_seconds(pid)
        self._moved = time.monotonic()

    def over(self) -> bool:
        """Whether to give the process up."""
        now, used = time.monotonic(), cpu_seconds(self._pid)
        if used != self._last:
            self._last, self._moved = used, now
        if self._had is not None and used is not None and used - self._had > self._seconds:
            return True
        return now - self._moved > self._seconds
