"""Quality of single answers, as the event log and the metrics hold it, and which answers it is measured on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

BURST_SECONDS = 2.0
KEPT_VERSIONS = 64


class Quality(NamedTuple):
    """What the examiner says of one answer (`masking.examination`); None where it was not measured."""

    leak: float | None = None
    face_found: int | None = None
    outside: float | None = None


Then = Callable[[list[Quality], str], None]
"""Takes a quality for each of the masked pictures, and the name of the examiner."""


class Scores(Protocol):
    """Scores masked pictures against what they were made from, some time later."""

    @property
    def examiner(self) -> str:
        """Name of the examiner that scores now; empty when there is none."""
        ...

    def offer(self, before: bytes, after: tuple[bytes, ...], then: Then) -> bool:
        """Whether it is taken on. If so, `then` is called once, in another thread."""
        ...


class Sampler:
    """A share of the answers, and of each version at most so many a second.

    A canary with a twentieth of the traffic so gets as many scores as the champion. Within a version chance decides,
    so that its mean stays what it is.
    """

    def __init__(self, share: float, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._rate, self._clock = share, per_second, clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._random = random.Random()  # noqa: S311 - which answers are scored is no secret

    def takes(self, version: str) -> bool:
        """Whether to measure an answer of `version`."""
        return self._random.random() < self._share and self.spends(version)

    def spends(self, version: str) -> bool:
        """Whether the rate of `version` still allows one now; if so, it is spent."""
        now = self._clock()
        full = max(self._rate * BURST_SECONDS, 1.0)
        tokens, at = self._buckets.get(version, (full, now))
        tokens = min(full, tokens + (now - at) * self._rate)
        if version not in self._buckets and len(self._buckets) >= KEPT_VERSIONS:
            self._buckets.clear()
        self._buckets[version] = (tokens - 1.0 if tokens >= 1.0 else tokens, now)
        return tokens >= 1.0
