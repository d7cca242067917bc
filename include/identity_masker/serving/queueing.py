"""The pictures that wait for the model: how many may, which go together, and which cannot make their deadline."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from identity_masker.errors import MaskerError
from identity_masker.serving.latency import Latency
from identity_masker.telemetry.trace_context import TraceContext

CALL_PIXELS = 1 << 20
"""Pixels in one call of the model, at most, where a call holds several pictures: larger ones gain nothing from it."""

Lateness = Literal["deadline", "deadline_unreachable", "deadline_too_short"]


class QueueLimits(BaseModel):
    """What may wait for the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pictures: int = Field(default=1024, ge=1)
    pixels: int = Field(default=64 << 20, ge=1, description="In all pictures that wait; three bytes each.")


class QueueFullError(MaskerError):
    """There is no room for more pictures. `seconds`: until what waits is done."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__("too many pictures wait for the model")


class TooLateError(MaskerError):
    """The deadline of a picture passed, or will have passed before the model is done with it."""

    def __init__(self, reason: Lateness, what: str, *, allowed: str, seconds: float = 0.0) -> None:
        """`seconds`: until a picture may make it."""
        self.reason, self.seconds = reason, seconds
        super().__init__(what, allowed=allowed)

    @classmethod
    def passed(cls) -> TooLateError:
        return cls("deadline", "the deadline passed while the picture waited", allowed="an answer in time")


class Picture(NamedTuple):
    """Pixels (H, W, 3) to mask, the key that chooses the face, and how strongly: 0 (as it was) to 1 (in full)."""

    pixels: NDArray[np.uint8]
    key: str
    strength: float = 1.0


@dataclass(eq=False, slots=True)
class Job:
    """A picture, who waits for it, until when (monotonic), and the span of the request that it came with."""

    picture: Picture
    answer: asyncio.Future[NDArray[np.uint8]]
    deadline: float
    trace: TraceContext | None = None

    @property
    def pixels(self) -> int:
        return self.picture.pixels.size // 3


class Queue:
    """First come, first served, but pictures of the size of the first go with it. Any thread may put, one takes."""

    def __init__(self, batch: int, latency: Latency, limits: QueueLimits) -> None:
        self._batch, self._latency, self._limits = batch, latency, limits
        self._waiting: deque[Job] = deque()
        self._pixels = 0
        self._busy_until: float | None = None
        self._changed = threading.Condition()
        self._open = True

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, jobs: Sequence[Job], deadline: float) -> bool:
        """Append all jobs, or none; whether the queue is open. `wake` is to follow.

        Raises `QueueFullError` and `TooLateError`.
        """
        pixels = sum(job.pixels for job in jobs)
        with self._changed:
            full = len(self._waiting) + len(jobs) > self._limits.pictures or self._pixels + pixels > self._limits.pixels
            # What is too large for the queue as such may come when it is empty.
            if full and self._waiting:
                raise QueueFullError(self.seconds(0))
            self.check(len(jobs), pixels, deadline)
            if self._open:
                self._waiting.extend(jobs)
                self._pixels += pixels
            return self._open

    def wake(self) -> None:
        """Have `take` look at what was put. Who puts calls this once for all that it puts together."""
        with self._changed:
            self._changed.notify()

    def seconds(self, pictures: int, pixels: int = 0) -> float:
        """How long until what waits, and `pictures` more, are done."""
        rest = max(0.0, (self._busy_until or 0.0) - time.monotonic())
        calls = math.ceil((len(self._waiting) + pictures) / self._batch)
        return rest + self._latency.seconds(self._pixels + pixels, calls)

    def check(self, pictures: int, pixels: int, deadline: float) -> None:
        """Raise `TooLateError` when so many pictures more would not be done by `deadline`.

        When nothing else is to be done, only the fastest call so far counts: an expectation that has become wrong could
        otherwise refuse everything, and would never be put right.
        """
        left = deadline - time.monotonic()
        if left <= self._latency.fastest:
            least = math.ceil(1000 * self._latency.fastest) / 1000
            raise TooLateError(
                "deadline_too_short", "no picture can be masked in the time that is left for this one",
                allowed=f"at least {least:g} s after the body has come",
            )  # fmt: skip
        if not self._waiting and self._busy_until is None:
            return
        needed = self.seconds(pictures, pixels)
        if needed > left:
            raise TooLateError(
                "deadline_unreachable", f"the picture would wait {needed:.2f} s for its turn",
                allowed=f"an answer within {max(left, 0.0):.2f} s", seconds=needed - left,
            )  # fmt: skip

    def take(self, idle: Callable[[], None] = lambda: None) -> list[Job]:
        """Wait for the next jobs of one size, after `idle()` if there are none; empty once the queue is closed and
        nothing waits.
        """
        with self._changed:
            self._busy_until = None
            wanted = self._wanted()
        if not wanted:
            idle()
        with self._changed:
            while not self._wanted():
                if not self._open:
                    return []
                self._changed.wait()
            jobs = self._together(self._waiting[0].picture.pixels.shape)
            pixels = sum(job.pixels for job in jobs)
            self._pixels -= pixels
            self._busy_until = time.monotonic() + self._latency.seconds(pixels)
            return jobs

    def _wanted(self) -> bool:
        """Drop what nobody waits for any more; whether anything is left."""
        self._waiting = deque(job for job in self._waiting if not job.answer.cancelled())
        self._pixels = sum(job.pixels for job in self._waiting)
        return bool(self._waiting)

    def _together(self, shape: tuple[int, ...]) -> list[Job]:
        """Take out the first jobs of this shape, as many as one call holds; the others stay in their order."""
        most = max(1, min(self._batch, CALL_PIXELS // (shape[0] * shape[1])))
        alike = [job for job in self._waiting if job.picture.pixels.shape == shape][:most]
        taken = set(map(id, alike))
        self._waiting = deque(job for job in self._waiting if id(job) not in taken)
        return alike

    def close(self) -> None:
        """Take on nothing more."""
        with self._changed:
            self._open = False
            self._changed.notify()
