"""Runs the model in a thread of its own, several waiting pictures at a time, so that the event loop never waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError, MaskerError
from identity_masker.telemetry import logs

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

Pixels = NDArray[np.uint8]
CALL_PIXELS = 1 << 20
"""Pixels in one call of the model, at most, where a call holds several pictures: larger ones gain nothing from it."""

log = logs.logger(__name__)


class MaskingFailedError(MaskerError):
    """The model failed on one picture, or gave back what is not a masked picture."""


Outcome = Pixels | MaskingFailedError | BadInputError


@dataclass(eq=False)
class _Job:
    pixels: Pixels
    key: str
    answer: asyncio.Future[Pixels]


class Worker:
    """A queue of pictures and the thread that masks them.

    Pictures of the same size that wait together are masked in one call. A picture whose client has left is
    dropped. When a call fails, its pictures are masked one by one, so that only the culprit fails.
    """

    def __init__(self, masker: Masker, *, batch: int, observe: Callable[[int, float], None]) -> None:
        """`observe(pictures, seconds)` is called in the thread after each call of the model."""
        self._masker = masker
        self._batch = batch
        self._observe = observe
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._open = True
        self._seconds_per_picture = 0.02
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def backlog_seconds(self, pictures: int) -> float:
        """How long `pictures` will take at the speed of the last calls."""
        return pictures * self._seconds_per_picture

    def submit(self, pixels: Pixels, key: str) -> asyncio.Future[Pixels]:
        """Queue one picture (H, W, 3). Cancel the future to drop the picture while it waits."""
        job = _Job(pixels, key, asyncio.get_running_loop().create_future())
        with self._changed:
            if not self._open:
                raise MaskingFailedError("the server is stopping", fix="send the picture again")
            self._waiting.append(job)
            self._changed.notify()
        return job.answer

    def close(self) -> None:
        """Let the thread end when the queue is empty."""
        with self._changed:
            self._open = False
            self._changed.notify()

    def _run(self) -> None:
        while jobs := self._next():
            # A client that left, or whose deadline passed, has cancelled its future.
            if live := [job for job in jobs if not job.answer.cancelled()]:
                _deliver(self._outcomes(live))

    def _next(self) -> list[_Job]:
        """The next pictures of one size; empty when the worker is closed."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or not self._open)
            if not self._waiting:
                return []
            jobs = [self._waiting.popleft()]
            shape = jobs[0].pixels.shape
            most = min(self._batch, CALL_PIXELS // (shape[0] * shape[1]))
            while self._waiting and len(jobs) < most and self._waiting[0].pixels.shape == shape:
                jobs.append(self._waiting.popleft())
            return jobs

    def _outcomes(self, jobs: list[_Job]) -> list[tuple[_Job, Outcome]]:
        try:
            masked = self._masked(jobs)
        except Exception as error:  # whatever a model raises must reach its client, not end the thread
            if len(jobs) > 1:
                return [outcome for job in jobs for outcome in self._outcomes([job])]
            if isinstance(error, BadInputError):
                return [(jobs[0], error)]
            failure = MaskingFailedError("the model failed on this picture")
            failure.__cause__ = error
            return [(jobs[0], failure)]
        return [(job, _outcome(job.pixels, after)) for job, after in zip(jobs, masked, strict=True)]

    def _masked(self, jobs: list[_Job]) -> Pixels:
        started = time.perf_counter()
        images = np.stack([job.pixels for job in jobs])
        masked = self._masker.mask(images, [job.key for job in jobs])
        seconds = time.perf_counter() - started
        self._seconds_per_picture += 0.1 * (seconds / len(jobs) - self._seconds_per_picture)
        self._observe(len(jobs), seconds)
        if masked.shape != images.shape or masked.dtype != np.uint8:
            raise MaskingFailedError("the model gave an array of another form", got=f"{masked.dtype} {masked.shape}")
        return masked


def checked(before: Pixels, after: Pixels) -> Pixels:
    """`after`. Raises `MaskingFailedError` for the picture as it came: that must never get through."""
    if np.array_equal(before, after):
        raise MaskingFailedError("the model left the picture unchanged")
    return after


def _outcome(before: Pixels, after: Pixels) -> Outcome:
    try:
        return checked(before, after)
    except MaskingFailedError as error:
        return error


def _deliver(outcomes: list[tuple[_Job, Outcome]]) -> None:
    """Hand the answers of one call to the event loop at once: waking it costs more than an answer."""
    loop = outcomes[0][0].answer.get_loop()
    try:
        loop.call_soon_threadsafe(_settle, outcomes)
    except RuntimeError:
        log.warning("answers_dropped", why="the event loop has ended", pictures=len(outcomes))


def _settle(outcomes: list[tuple[_Job, Outcome]]) -> None:
    for job, outcome in outcomes:
        if job.answer.done():
            continue
        if isinstance(outcome, MaskerError):
            job.answer.set_exception(outcome)
        else:
            job.answer.set_result(outcome)
