"""Where it is kept what clients have used: in this process, or in Redis."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from identity_masker.serving.quota.rates import Decision, Rate, decide
from identity_masker.telemetry import logs

REMEMBERED = 100_000
ASK_AGAIN_SECONDS = 5.0
REDIS_SECONDS = 0.25

# The same rule as `decide`, on the clock of Redis, which all gateways share. Numbers come back as text: Redis would cut
# them to whole ones.
SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1e6
local interval, burst = 1 / tonumber(ARGV[1]), tonumber(ARGV[2])
local width = burst * interval
local full_at = tonumber(redis.call('GET', KEYS[1]) or 0)
local after = math.max(full_at, now) + interval
if after - now > width + 1e-6 then
  return {0, 0, tostring(full_at - now), tostring(after - now - width)}
end
redis.call('SET', KEYS[1], string.format('%.6f', after), 'PX', math.ceil((after - now) * 1000) + 1)
return {1, math.max(0, math.floor((width - (after - now)) / interval + 1e-6)), tostring(after - now), '0'}
"""
log = logs.logger(__name__)


class Ledger(Protocol):
    """Counts the requests of clients."""

    async def take(self, client: str, rate: Rate) -> Decision:
        """Let one request of `client` pass, or not."""
        ...


class LocalLedger:
    """In this process; several gateways each give the whole rate. Remembers the 100,000 clients seen last."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, remembered: int = REMEMBERED) -> None:
        self._clock = clock
        self._remembered = remembered
        self._full_at: OrderedDict[str, float] = OrderedDict()

    async def take(self, client: str, rate: Rate) -> Decision:
        now = self._clock()
        full_at, decision = decide(self._full_at.pop(client, now), now, rate)
        self._full_at[client] = full_at
        if len(self._full_at) > self._remembered:
            self._full_at.popitem(last=False)
        return decision


class RedisLedger:
    """In Redis, for all gateways together. While Redis does not answer, each gateway counts for itself."""

    def __init__(self, url: str, *, prefix: str = "masker:quota:") -> None:
        self._redis: Redis = Redis.from_url(url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)
        self._script = self._redis.register_script(SCRIPT)
        self._prefix = prefix
        self._local = LocalLedger()
        self._away_until = 0.0

    async def close(self) -> None:
        await self._redis.aclose()

    async def take(self, client: str, rate: Rate) -> Decision:
        if time.monotonic() < self._away_until:
            return await self._local.take(client, rate)
        try:
            found = await self._script(keys=[self._prefix + client], args=[repr(rate.per_second), rate.burst])
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + ASK_AGAIN_SECONDS
            log.warning("quota_counted_alone", why=type(error).__name__)
            return await self._local.take(client, rate)
        allowed, remaining, reset, retry_after = found
        return Decision(bool(allowed), int(remaining), float(reset), float(retry_after))
