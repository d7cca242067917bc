"""Traffic against a gateway: open-loop, so that a slow answer does not slow down the asking, and seeded."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from identity_masker.serving.pictures import encode
from identity_masker.serving.smoke import picture
from identity_masker.serving.upstream import Reply, Upstream, UpstreamError

QUANTILES = (0.5, 0.95, 0.99)


class TrafficOptions(BaseModel):
    """How much traffic. The same seed gives the same arrivals and users."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    rate: float = Field(gt=0, le=10_000, description="Requests a second on average; arrivals are a Poisson process.")
    seconds: float = Field(gt=0)
    users: int = Field(default=1000, ge=1)
    seed: int = 0
    timeout: float = Field(default=30.0, gt=0, description="Seconds for an answer.")


class TrafficSummary(BaseModel):
    """What came back. `failed` maps a status, or the reason of no answer, to how often.

    Latencies run from the moment at which the request was due, in milliseconds by quantile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int
    ok: int
    failed: dict[str, int]
    by_version: dict[str, int]
    by_variant: dict[str, int]
    latency_ms: dict[str, float]
    seconds: float


@dataclass
class _Tally:
    failed: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)

    def answered(self, reply: Reply, milliseconds: float) -> None:
        self.milliseconds.append(milliseconds)
        if reply.status != 200:
            self.failed[str(reply.status)] += 1
        self.versions[reply.headers.get(b"x-model-version", b"none").decode()] += 1
        self.variants[reply.headers.get(b"x-variant", b"none").decode()] += 1


async def send(options: TrafficOptions, body: bytes | None = None) -> TrafficSummary:
    """Send traffic and wait for all answers. `body` is a picture file; default the smoke picture as PNG."""
    content = body or encode(picture(), "PNG")
    rng = np.random.default_rng(options.seed)
    count = rng.poisson(options.rate * options.seconds)
    due = np.sort(rng.uniform(0.0, options.seconds, count))
    users = rng.integers(0, options.users, count)
    upstream, tally, began = Upstream(options.url), _Tally(), time.monotonic()

    async def one(at: float, user: int) -> None:
        await asyncio.sleep(began + at - time.monotonic())
        headers = [(b"content-type", b"image/png"), (b"x-user-id", b"user-%d" % user)]
        try:
            reply = await upstream.post(b"/v1/mask", headers, content, seconds=options.timeout)
        except (UpstreamError, TimeoutError) as error:
            tally.failed[str(error) or "timeout"] += 1
            return
        tally.answered(reply, 1000.0 * (time.monotonic() - began - at))

    try:
        await asyncio.gather(*(one(float(at), int(user)) for at, user in zip(due, users, strict=True)))
    finally:
        upstream.close()
    return _summary(tally, int(count), time.monotonic() - began)


def _summary(tally: _Tally, requests: int, seconds: float) -> TrafficSummary:
    found = np.quantile(tally.milliseconds, QUANTILES) if tally.milliseconds else ()
    return TrafficSummary(
        requests=requests,
        ok=requests - sum(tally.failed.values()),
        failed=dict(tally.failed),
        by_version=dict(sorted(tally.versions.items())),
        by_variant=dict(sorted(tally.variants.items())),
        latency_ms={f"p{100 * q:g}": round(float(v), 3) for q, v in zip(QUANTILES, found, strict=False)},
        seconds=round(seconds, 3),
    )
