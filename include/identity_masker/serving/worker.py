"""Runs the model in a thread of its own, several waiting pictures at a time, so that the event loop never waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError, MaskerError
from identity_masker.masking.strength import blended
from identity_masker.serving.latency import Call, Latency
from identity_masker.serving.queueing import Job, Picture, Queue, QueueLimits, TooLateError
from identity_masker.telemetry import logs, tracing

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

Pixels = NDArray[np.uint8]
log = logs.logger(__name__)


class MaskingFailedError(MaskerError):
    """The model failed on one picture, or gave back what is not a masked picture."""


class ModelDiedError(MaskerError):
    """The process of the model ended during a call; the next call finds another one."""


@runtime_checkable
class Elsewhere(Protocol):
    """A masker that another process computes, so that this one has time during a call."""

    def mask_while(self, images: Pixels, keys: Sequence[str], meanwhile: Callable[[], None]) -> Pixels:
        """As `Masker.mask`; `meanwhile()` is called when the pictures are on their way."""
        ...


Outcome = Pixels | MaskingFailedError | BadInputError | TooLateError


class Worker:
    """A bounded queue of pictures and the thread that masks them.

    Pictures of the same size that wait are masked in one call. One whose client has left, or whose deadline passed,
    is dropped. When a call fails, its pictures are masked one by one, so that only the culprit fails; a picture alone
    with which the model's process died is tried once more, as it may have died of something else.
    """

    def __init__(
        self,
        masker: Masker,
        *,
        batch: int,
        observe: Callable[[int, float], None],
        latency: Latency | None = None,
        limits: QueueLimits | None = None,
        died: Callable[[], None] = lambda: None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """In the thread, `observe(pictures, seconds)` is called after each call, `died` after one that the model's
        process did not survive, `ended` after all.
        """
        self._masker = masker
        self._observe, self._died, self._ended = observe, died, ended
        self.latency = latency or Latency()
        self._queue = Queue(batch, self.latency, limits or QueueLimits())
        self._waking: asyncio.AbstractEventLoop | None = None
        """The event loop that is to wake the thread at its next turn."""
        self._owed: list[tuple[Job, Outcome]] = []
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def backlog_seconds(self) -> float:
        """How long what waits will take at the speed of the last calls."""
        return self._queue.seconds(0)

    def check(self, deadline: float) -> None:
        """Raise `TooLateError` when a picture that came now would not be masked by `deadline` (monotonic)."""
        self._queue.check(1, 0, deadline)

    def submit(self, pictures: Sequence[Picture], deadline: float = float("inf")) -> list[asyncio.Future[Pixels]]:
        """Queue pictures that one client sent, all or none. Cancel a future to drop its picture while it waits.

        deadline    monotonic time after which nobody wants them
        Raises `QueueFullError`, `TooLateError` and, once closed, `MaskingFailedError`.
        """
        loop = asyncio.get_running_loop()
        jobs = [Job(picture, loop.create_future(), deadline, tracing.current()) for picture in pictures]
        if not self._queue.put(jobs, deadline):
            raise MaskingFailedError("the server is stopping", fix="send the picture again")
        if self._waking is not loop:
            # Once for all requests that the event loop has at hand: each wake-up of the thread costs as much as all
            # else that is done for a request, and what came together is to be masked together.
            self._waking = loop
            loop.call_soon(self._wake)
        return [job.answer for job in jobs]

    def _wake(self) -> None:
        self._waking = None
        self._queue.wake()

    def close(self) -> None:
        """Let the thread end when the queue is empty."""
        self._queue.close()

    def join(self, seconds: float) -> None:
        """Wait for the end that `close` asked for, at most `seconds`."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while jobs := self._queue.take(self._deliver):
                outcomes = self._outcomes(jobs)
                self._deliver()
                self._owed = outcomes
        finally:
            self._deliver()
            self._ended()

    def _deliver(self) -> None:
        """Hand over the answers of the last call. When others wait, this is done during their call: the event loop that
        gets answers keeps the interpreter busy, and the model's process would stand still until the next call is sent.
        """
        owed, self._owed = self._owed, []
        _deliver(owed)

    def _outcomes(self, jobs: Sequence[Job], *, died: bool = False) -> list[tuple[Job, Outcome]]:
        """What becomes of jobs of one size. `died`: the model's process has died of a call with this one alone."""
        live, late = _sorted(jobs)
        if not live:
            return late
        try:
            masked = self._masked(live)
        except Exception as error:  # whatever a model raises must reach its client, not end the thread
            alone = len(live) == 1
            if isinstance(error, ModelDiedError):
                self._died()
            if not alone or (isinstance(error, ModelDiedError) and not died):
                return late + [one for job in live for one in self._outcomes([job], died=alone)]
            return [*late, (live[0], _failure(error))]
        return late + [(job, _outcome(job.picture, after)) for job, after in zip(live, masked, strict=True)]

    def _masked(self, jobs: Sequence[Job]) -> Pixels:
        images = np.stack([job.picture.pixels for job in jobs])
        started = time.perf_counter()
        with tracing.batch([job.trace for job in jobs]):
            masked = self._call(images, [job.picture.key for job in jobs])
        seconds = time.perf_counter() - started
        self.latency.observe(Call(images.size // 3, seconds))
        self._observe(len(jobs), seconds)
        if masked.shape != images.shape or masked.dtype != np.uint8:
            raise MaskingFailedError("the model gave an array of another form", got=f"{masked.dtype} {masked.shape}")
        return masked

    def _call(self, images: Pixels, keys: list[str]) -> Pixels:
        if isinstance(self._masker, Elsewhere):
            return self._masker.mask_while(images, keys, self._deliver)
        self._deliver()
        return self._masker.mask(images, keys)


def checked(before: Pixels, after: Pixels) -> Pixels:
    """`after`. Raises `MaskingFailedError` for the picture as it came: that must never get through."""
    # One row of the middle almost always tells; numpy gives the interpreter away while it compares more, and the thread
    # that is to send the next call would have to wait for it.
    row = len(before) // 2
    if np.array_equal(before[row], after[row]) and np.array_equal(before, after):
        raise MaskingFailedError("the model left the picture unchanged")
    return after


def _sorted(jobs: Sequence[Job]) -> tuple[list[Job], list[tuple[Job, Outcome]]]:
    """Those that are still wanted, and the answers to those that come too late."""
    wanted = [job for job in jobs if not job.answer.cancelled()]
    now = time.monotonic()
    late: list[tuple[Job, Outcome]] = [(job, TooLateError.passed()) for job in wanted if job.deadline <= now]
    return [job for job in wanted if job.deadline > now], late


def _failure(error: Exception) -> MaskingFailedError | BadInputError:
    if isinstance(error, BadInputError):
        return error
    failure = MaskingFailedError("the model failed on this picture")
    failure.__cause__ = error
    return failure


def _outcome(picture: Picture, after: Pixels) -> Outcome:
    try:
        return blended(picture.pixels, checked(picture.pixels, after), picture.strength)
    except (MaskingFailedError, BadInputError) as error:
        return error


def _deliver(outcomes: list[tuple[Job, Outcome]]) -> None:
    """Hand the answers of one call to the event loop at once: waking it costs more than an answer."""
    if not outcomes:
        return
    loop = outcomes[0][0].answer.get_loop()
    try:
        loop.call_soon_threadsafe(_settle, outcomes)
    except RuntimeError:
        log.warning("answers_dropped", why="the event loop has ended", pictures=len(outcomes))


def _settle(outcomes: list[tuple[Job, Outcome]]) -> None:
    for job, outcome in outcomes:
        if job.answer.done():
            continue
        if isinstance(outcome, MaskerError):
            job.answer.set_exception(outcome)
        else:
            job.answer.set_result(outcome)
