"""Which model servers have masked a test picture: being ready is not enough for traffic."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

from identity_masker.serving.control import Endpoint
from identity_masker.telemetry import logs

Test = Callable[[Endpoint], Awaitable[str]]
log = logs.logger(__name__)


class Proofs:
    """Tests each server once, in the background. A container that was started anew is another server."""

    def __init__(self, test: Test, again_seconds: float) -> None:
        """`test` returns what is wrong with a server, or nothing; one with a fault is tested again after a while."""
        self._test, self._again_seconds = test, again_seconds
        self._tasks: dict[tuple[str, int], asyncio.Task[str]] = {}
        self._proven: set[tuple[str, int]] = set()
        self._faults: dict[tuple[str, int], tuple[str, float]] = {}

    def adopt(self, endpoint: Endpoint) -> None:
        """Another fleet has tested this one."""
        self._proven.add(_key(endpoint))

    def proven(self, endpoint: Endpoint) -> bool:
        return _key(endpoint) in self._proven

    def judged(self, endpoint: Endpoint) -> Endpoint:
        """`endpoint`, `ready` and `draining` only if it was proven. Begins the test that is missing."""
        key = _key(endpoint)
        if key in self._proven:
            return endpoint
        if endpoint.state == "draining":
            return endpoint.model_copy(update={"state": "failed"})
        if endpoint.state != "ready":
            return endpoint
        fault, since = self._faults.get(key, ("", -math.inf))
        if key not in self._tasks and time.monotonic() - since > self._again_seconds:
            self._tasks[key] = asyncio.create_task(self._prove(endpoint))
        if fault:
            return endpoint.model_copy(update={"state": "failed", "detail": fault})
        return endpoint.model_copy(update={"state": "starting", "detail": "it gets the test picture"})

    async def _prove(self, endpoint: Endpoint) -> str:
        key = _key(endpoint)
        try:
            fault = await self._test(endpoint)
        finally:
            self._tasks.pop(key, None)
        if fault:
            self._faults[key] = (fault, time.monotonic())
            log.error("server_unproven", slot=endpoint.slot, reason=fault)
        else:
            self._proven.add(key)
            log.info("server_ready", slot=endpoint.slot, url=endpoint.url, restarts=endpoint.restarts)
        return fault

    def keep(self, endpoints: list[Endpoint]) -> None:
        """Forget all others."""
        keys = {_key(endpoint) for endpoint in endpoints}
        self._proven &= keys
        self._faults = {key: fault for key, fault in self._faults.items() if key in keys}

    async def stop(self) -> None:
        """End the tests under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _key(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.slot, endpoint.pid
