"""Owns the process that scores: hands it one job at a time, and starts it anew when it dies or hangs."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from identity_masker.serving.quality import Quality, Then
from identity_masker.serving.scoring_jobs import Job, ScoringJobs
from identity_masker.serving.scoring_process import FETCH_SECONDS, REGISTRY, frame
from identity_masker.serving.starvation import Patience
from identity_masker.telemetry import logs

LARGEST_JOB = 4 << 20
"""Bytes of the pictures of one job; larger ones are not scored."""

START_SECONDS = FETCH_SECONDS + 60.0
SCORE_SECONDS = 20.0
"""Processor time for one job; and how long the process may get none."""

RETRY_SECONDS = (5.0, 15.0, 60.0, 120.0)
REFRESH_SECONDS = 900.0
TICK_SECONDS = 0.5
log = logs.logger(__name__)


class _ScoringError(Exception):
    """The process is of no more use."""


class Scorer:
    """Scores in the background, by the examiner of `source`: a folder, or the one that the registry names.

    While `steady()`, it looks every `refresh` seconds whether the registry names another one. Otherwise a release is
    under way, and it keeps the one that it has, also when the process has to start again.
    """

    def __init__(
        self, source: str = REGISTRY, *, steady: Callable[[], bool] = lambda: True, refresh: float = REFRESH_SECONDS
    ) -> None:
        self.examiner = ""
        self._source, self._steady, self._refresh = source, steady, refresh
        self._folder = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at, self._failures, self._retry_at = 0.0, 0, 0.0
        self._trouble = ""
        self._jobs = ScoringJobs()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scorer", daemon=True)
        self._thread.start()

    def offer(self, before: bytes, after: tuple[bytes, ...], then: Then) -> bool:
        """See `quality.Scores`."""
        size = len(before) + sum(map(len, after))
        if not self.examiner or self._closing.is_set() or size > LARGEST_JOB or not self._jobs.room(len(after)):
            return False
        return self._jobs.put(Job(frame(before, after), len(after), then))

    def close(self) -> None:
        """Stop; what waits is answered without a score."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._keep()
            if (job := self._jobs.get(TICK_SECONDS)) is not None:
                _tell(job, *self._scored(job))
        while (job := self._jobs.get(0.0)) is not None:
            _tell(job, [Quality()] * job.pictures, "")
        self._end()

    def _keep(self) -> None:
        """See to it that there is a process, as far as there can be one."""
        now = time.monotonic()
        stale = self._source == REGISTRY and now - self._started_at > self._refresh
        if self._process is not None and not (stale and self._steady()):
            return
        if self._process is None and now < self._retry_at:
            return
        self._end()
        try:
            self._start()
        except (_ScoringError, OSError) as error:
            self._failed(str(error))

    def _start(self) -> None:
        known = self._folder and not self._steady()
        source = self._folder if known else self._source
        command = [sys.executable, "-m", "identity_masker.serving.scoring_process", source]
        # Ctrl-C is for the gateway, which has answers to finish; this one ends with its stdin.
        self._process = subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        hello = self._line(START_SECONDS)
        if "absent" in hello:
            raise _ScoringError(hello["absent"])
        self._folder, self._started_at, self._failures = hello["folder"], time.monotonic(), 0
        self.examiner, self._trouble = hello["examiner"], ""
        log.info("examiner_ready", examiner=self.examiner)

    def _scored(self, job: Job) -> tuple[list[Quality], str]:
        name = self.examiner
        try:
            self._send(job.content, SCORE_SECONDS)
            return [Quality(*values) for values in self._line(SCORE_SECONDS)], name
        except (_ScoringError, OSError) as error:
            if not self._closing.is_set():
                self._failed(str(error))
            return [Quality()] * job.pictures, name

    def _send(self, content: bytes, seconds: float) -> None:
        """Hand `content` to the process, which may have stopped reading. Raises `_ScoringError` then."""
        process, left = self._process, memoryview(content)
        if process is None or process.stdin is None:
            raise _ScoringError("there is no process")
        patience = Patience(process.pid, seconds)
        os.set_blocking(process.stdin.fileno(), False)
        while left and not self._closing.is_set():
            _, ready, _ = select.select([], [process.stdin], [], TICK_SECONDS)
            if ready:
                left = left[os.write(process.stdin.fileno(), left) :]
            elif patience.over():
                raise _ScoringError(f"the process read nothing for {seconds:g} s")

    def _line(self, seconds: float) -> Any:
        """The next line that the process says. Raises `_ScoringError` when none comes."""
        process, found = self._process, b""
        patience = Patience(process.pid if process else 0, seconds)
        while not found.endswith(b"\n"):
            if process is None or process.stdout is None or self._closing.is_set():
                raise _ScoringError("the process was stopped")
            ready, _, _ = select.select([process.stdout], [], [], TICK_SECONDS)
            if ready:
                part = os.read(process.stdout.fileno(), 1 << 16)
                if not part:
                    raise _ScoringError("the process died")
                found += part
            elif patience.over():
                raise _ScoringError(f"the process said nothing for {seconds:g} s")
        return json.loads(found)

    def _failed(self, why: str) -> None:
        """Give the process up, and try again later each time in a row."""
        self._end()
        self._retry_at = time.monotonic() + RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
        self._failures += 1
        if why != self._trouble:
            log.warning("no_examiner", why=why)
        self._trouble = why

    def _end(self) -> None:
        self.examiner = ""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


def _tell(job: Job, qualities: list[Quality], examiner: str) -> None:
    try:
        job.then(qualities, examiner)
    except Exception:  # the next answer is to be scored all the same
        log.exception("score_not_taken")
