"""What each variant answered, and how fast: the numbers by which a release compares two versions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Histogram

from identity_masker.serving.problem import HttpError

METRIC = "masker_gateway_answer_seconds"
SHARE = "share"
"""Value of the label `via` for a request that the shares of the routing table sent to its variant."""

SHADOW, PAIRED = "shadow", "paired"
"""Values of `via` for a copy whose answer nobody got, and for the champion's answer to that picture, counted again."""

BOUNDS = tuple(round(0.001 * 1.25**step, 6) for step in range(48))
"""1 ms to 36 s, each a quarter above the one before: a quantile is known within that."""

Outcome = Literal["ok", "refused", "failed", "gone"]


@dataclass
class Answer:
    """The status that a request got, and after how long; 0 until it is known."""

    status: int = 0
    seconds: float = 0.0

    def outcome(self) -> Outcome:
        if self.status == 0:
            return "gone"
        if self.status >= 500:
            return "failed"
        return "refused" if self.status >= 400 else "ok"


class Answers:
    """One histogram holds counts, errors and times: they can never disagree about the number of requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            METRIC,
            "Time to the answer of a variant, by what came of it: ok, refused (4xx), failed (5xx), gone (client left).",
            ["variant", "version", "via", "outcome"],
            buckets=BOUNDS,
            registry=registry,
        )

    @contextmanager
    def timed(self, variant: str, version: str, via: str) -> Iterator[Answer]:
        """Count the request that is answered inside; a client that leaves cancels it, and that is counted too."""
        began, answer = time.perf_counter(), Answer()
        try:
            yield answer
        except Exception as error:
            answer.status = error.status if isinstance(error, HttpError) else 500
            raise
        finally:
            answer.seconds = time.perf_counter() - began
            self.count(answer, variant, version, via)

    def count(self, answer: Answer, variant: str, version: str, via: str) -> None:
        """Count an answer that was timed elsewhere."""
        self._seconds.labels(variant, version, via, answer.outcome()).observe(answer.seconds)
