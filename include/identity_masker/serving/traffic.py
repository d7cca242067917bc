"""Traffic against a gateway: open-loop, so that a slow answer does not slow down the asking, and seeded."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from identity_masker.client import ApiError, AsyncMaskerClient, Outcome, RefusedError, Retries
from identity_masker.serving.traffic_mix import POPULARITY, Visit, visits

QUANTILES = (0.5, 0.95, 0.99)
ONCE = Retries(tries=1)
"""Nothing is sent again: what failed is to be seen."""


class TrafficOptions(BaseModel):
    """How much traffic. The same seed gives the same arrivals, users and pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    rate: float = Field(gt=0, le=10_000, description="Requests a second on average; arrivals are a Poisson process.")
    seconds: float = Field(gt=0)
    users: int = Field(default=1000, ge=1)
    popularity: float = Field(default=POPULARITY, ge=0, description="0: all users come equally often.")
    bad: float = Field(default=0.0, ge=0, le=1, description="Share of the pictures that are cut off.")
    seed: int = 0
    timeout: float = Field(default=30.0, gt=0, description="Seconds for an answer.")
    token: str | None = Field(default=None, repr=False, description="For a gateway that asks for one.")


class TrafficSummary(BaseModel):
    """What came back. `failed` maps a status, or the reason of no answer, to how often; a broken picture that was
    refused, as it ought to be, is counted in `refused`.

    Latencies run from the moment at which the request was due, in milliseconds by quantile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int
    ok: int
    refused: int
    failed: dict[str, int]
    outcomes: int = Field(description="Outcome events that users told and the gateway took.")
    by_version: dict[str, int]
    by_variant: dict[str, int]
    latency_ms: dict[str, float]
    seconds: float


@dataclass
class _Tally:
    ok: int = 0
    refused: int = 0
    outcomes: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)


async def send(options: TrafficOptions, pictures: Sequence[bytes] = ()) -> TrafficSummary:
    """Send traffic and wait for all answers. `pictures`: files to send instead of drawn faces."""
    planned = list(
        visits(
            options.rate,
            options.seconds,
            options.users,
            bad=options.bad,
            popularity=options.popularity,
            seed=options.seed,
            pictures=pictures,
        )
    )
    tally = _Tally()
    async with AsyncMaskerClient(
        options.url, token=options.token, retries=ONCE, timeout=options.timeout, connections=None
    ) as client:
        began = time.monotonic()
        await asyncio.gather(*(_visit(client, visit, began, tally) for visit in planned))
        seconds = time.monotonic() - began
    return _summary(tally, len(planned), seconds)


async def _visit(client: AsyncMaskerClient, visit: Visit, began: float, tally: _Tally) -> None:
    await asyncio.sleep(began + visit.due - time.monotonic())
    try:
        masked = await client.mask(visit.body, key=visit.key, user=visit.user, attributes={"device": visit.device})
        tally.ok += 1
        tally.versions[masked.model_version or "none"] += 1
        tally.variants[masked.variant or "none"] += 1
    except ApiError as error:
        if isinstance(error, RefusedError) and not visit.sound and error.problem.status == 422:
            tally.refused += 1
        else:
            tally.failed[str(error.problem.status or error.problem.reason)] += 1
        visit = visit._replace(tells=False)
    tally.milliseconds.append(1000.0 * (time.monotonic() - began - visit.due))
    if visit.tells:
        await _tell(client, visit.user, tally)


async def _tell(client: AsyncMaskerClient, user: str, tally: _Tally) -> None:
    try:
        tally.outcomes += await client.tell(user, [Outcome("kept")])
    except ApiError as error:
        tally.failed[f"outcome: {error.problem.status or error.problem.reason}"] += 1


def _summary(tally: _Tally, requests: int, seconds: float) -> TrafficSummary:
    found = np.quantile(tally.milliseconds, QUANTILES) if tally.milliseconds else ()
    return TrafficSummary(
        requests=requests,
        ok=tally.ok,
        refused=tally.refused,
        failed=dict(tally.failed),
        outcomes=tally.outcomes,
        by_version=dict(sorted(tally.versions.items())),
        by_variant=dict(sorted(tally.variants.items())),
        latency_ms={f"p{100 * q:g}": round(float(v), 3) for q, v in zip(QUANTILES, found, strict=False)},
        seconds=round(seconds, 3),
    )
