"""What the gateway knows of a user beyond the request: asked of the feature store within a deadline, or left out.

A request never fails and never waits longer than the deadline for it: when the store is slow or down, the user is
served as one of whom nothing is known.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

from prometheus_client import CollectorRegistry, Counter, Histogram

from identity_masker.telemetry import logs

LookUp = Callable[[str], Mapping[str, object]]
"""The features of a unit by name; empty for an unknown user. May block, and may raise. Called in threads."""

STRENGTH = "masking_strength"
UNKNOWN: Mapping[str, object] = MappingProxyType({})
DEADLINE_SECONDS = 0.02
REMEMBERED_SECONDS = 60.0
REMEMBERED = 50_000
FAILURES = 5
ASK_AGAIN_SECONDS = 2.0
WAITING = 32
THREADS = 2
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1)

log = logs.logger(__name__)


class Characteristics:
    """Looks users up, and remembers them for a minute.

    After 5 look-ups in a row that failed or were late, nobody is looked up for 2 s.
    """

    def __init__(
        self,
        look_up: LookUp,
        registry: CollectorRegistry,
        *,
        deadline: float = DEADLINE_SECONDS,
        remembered: float = REMEMBERED_SECONDS,
    ) -> None:
        """`deadline`, `remembered`: seconds."""
        self._look_up = look_up
        self._deadline = deadline
        self._remembered = remembered
        self._known: OrderedDict[str, tuple[float, Mapping[str, object]]] = OrderedDict()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="characteristics")
        self._waiting = 0
        self._failed = 0
        self._away_until = 0.0
        self._count = Counter(
            "masker_gateway_characteristics",
            "Look-ups of users: found, unknown, remembered, late, failed, skipped (after failures or under load).",
            ["outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "masker_gateway_characteristics_duration_seconds",
            "Time of a look-up in the feature store.",
            buckets=SECONDS,
            registry=registry,
        )
        for outcome in ("found", "unknown", "remembered", "late", "failed", "skipped"):
            self._count.labels(outcome)

    async def of(self, unit: str) -> Mapping[str, object]:
        """What is known of `unit`; empty when nothing is, or when the store did not answer in time."""
        now = time.monotonic()
        known = self._known.get(unit)
        if known is not None and now < known[0]:
            self._count.labels("remembered").inc()
            return known[1]
        if now < self._away_until or self._waiting >= WAITING:
            self._count.labels("skipped").inc()
            return UNKNOWN
        return await self._ask(unit)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, unit: str) -> Mapping[str, object]:
        self._waiting += 1
        asked = asyncio.get_running_loop().run_in_executor(self._threads, self._timed, unit)
        asked.add_done_callback(lambda answer: self._arrived(unit, answer))
        done, _ = await asyncio.wait([asked], timeout=self._deadline)
        if not done:
            self._gave_up("late", "no answer in time")
            return UNKNOWN
        error = asked.exception()
        if error is not None:  # whatever the store has, the user is to be masked
            self._gave_up("failed", f"{type(error).__name__}: {error}")
            return UNKNOWN
        self._failed = 0
        found = asked.result()
        self._count.labels("found" if found else "unknown").inc()
        return found

    def _timed(self, unit: str) -> Mapping[str, object]:
        with self._seconds.time():
            return self._look_up(unit)

    def _arrived(self, unit: str, answer: asyncio.Future[Mapping[str, object]]) -> None:
        """Remember also what came too late: the user's next request has it."""
        self._waiting -= 1
        if not answer.cancelled() and answer.exception() is None:
            self._remember(unit, answer.result())

    def _gave_up(self, outcome: str, why: str) -> None:
        self._count.labels(outcome).inc()
        self._failed += 1
        if self._failed >= FAILURES:
            self._failed = 0
            self._away_until = time.monotonic() + ASK_AGAIN_SECONDS
            log.warning("characteristics_left_out", why=why, seconds=ASK_AGAIN_SECONDS)

    def _remember(self, unit: str, found: Mapping[str, object]) -> None:
        self._known[unit] = (time.monotonic() + self._remembered, found)
        self._known.move_to_end(unit)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def strength(known: Mapping[str, object]) -> float | None:
    """The masking strength that a user chose, if they did and it is one."""
    value = known.get(STRENGTH)
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None
