"""Jobs that wait for the scoring process: those of a shadow first, for its release is judged by them alone."""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

from identity_masker.serving.quality import Then

WAITING_JOBS = 16
"""Of each kind at most."""

PAIRS_IN_A_ROW = 4
"""After so many a single one has its turn: its event waits for its score."""


class Job(NamedTuple):
    """`content`: as the process reads it. `pictures`: how many masked ones; two are a pair."""

    content: bytes
    pictures: int
    then: Then


class ScoringJobs:
    """Two bounded queues. Safe to use from threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pairs: deque[Job] = deque()
        self._singles: deque[Job] = deque()
        self._in_a_row = 0

    def put(self, job: Job) -> bool:
        """Whether there was room for it."""
        with self._changed:
            queue = self._of(job.pictures)
            if len(queue) >= WAITING_JOBS:
                return False
            queue.append(job)
            self._changed.notify()
            return True

    def room(self, pictures: int) -> bool:
        """Whether a job with so many pictures would be taken now."""
        with self._changed:
            return len(self._of(pictures)) < WAITING_JOBS

    def get(self, timeout: float) -> Job | None:
        """The next job; None when there is none within `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._pairs or self._singles, timeout):
                return None
            if self._pairs and (self._in_a_row < PAIRS_IN_A_ROW or not self._singles):
                self._in_a_row += 1
                return self._pairs.popleft()
            self._in_a_row = 0
            return self._singles.popleft()

    def _of(self, pictures: int) -> deque[Job]:
        return self._pairs if pictures > 1 else self._singles
