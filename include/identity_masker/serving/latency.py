"""How long a call of the model takes: a line over its pixels, learnt from the calls themselves."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

MEMORY = 50.0
"""Calls after which one weighs 1/e: the line follows a machine that gets slower or faster within seconds."""

OUTLIER = 5.0
"""A call that took more times its expectation counts as that many: one stall says little of the next call."""

UNKNOWN_SECONDS_PER_PIXEL = 0.02 / (64 * 64)


class Call(NamedTuple):
    """One call of the model: its pixels in all pictures, and what it took."""

    pixels: int
    seconds: float


class Latency:
    """Seconds of a call = a · pixels + b, by least squares over calls whose weight fades.

    The calls of the calibration stay in with a constant small weight: where all calls are alike, they say what is
    a and what is b. Written by one thread, read by others.
    """

    def __init__(self, calibration: Sequence[Call] = ()) -> None:
        self._lock = threading.Lock()
        self._kept = [call for call in calibration if call.seconds > 0] or [
            Call(side * side, side * side * UNKNOWN_SECONDS_PER_PIXEL) for side in (32, 64)
        ]
        self._sums = (0.0, 0.0, 0.0, 0.0, 0.0)
        self.fastest = min((call.seconds for call in calibration), default=0.0)
        """Seconds of the fastest call so far: no answer comes sooner, on whatever machine."""
        self.line = self._fitted()

    def seconds(self, pixels: float, calls: float = 1.0) -> float:
        """What `pixels` in so many `calls` will take."""
        slope, start = self.line
        return slope * pixels + start * calls

    def observe(self, call: Call) -> None:
        """Learn from a call."""
        seconds = min(call.seconds, OUTLIER * self.seconds(call.pixels))
        x, y, fade = float(call.pixels), seconds, 1.0 - 1.0 / MEMORY
        with self._lock:
            self.fastest = min(self.fastest or call.seconds, call.seconds)
            new = (1.0, x, x * x, y, x * y)
            self._sums = tuple(fade * old + value for old, value in zip(self._sums, new, strict=True))  # type: ignore[assignment]
            self.line = self._fitted()

    def _fitted(self) -> tuple[float, float]:
        """Slope and start, neither negative."""
        weight = 1.0 / len(self._kept)
        count, x, xx, y, xy = self._sums
        for pixels, seconds in self._kept:
            count, x, xx = count + weight, x + weight * pixels, xx + weight * pixels * pixels
            y, xy = y + weight * seconds, xy + weight * pixels * seconds
        spread = count * xx - x * x
        slope = (count * xy - x * y) / spread if spread > 0 else y / x
        start = (y - slope * x) / count
        if slope < 0:
            return 0.0, y / count
        return (slope, start) if start >= 0 else (xy / xx, 0.0)
