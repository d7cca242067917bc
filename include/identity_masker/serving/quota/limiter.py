"""Refuses requests of a client that is over its quota, and says in each answer what is left."""

from __future__ import annotations

import math

from fastapi import Request, Response

from identity_masker.security.roles import Principal
from identity_masker.serving.problem import HttpError
from identity_masker.serving.quota.ledgers import Ledger
from identity_masker.serving.quota.rates import Decision, Rate, Rates

NOBODY = ""


class Limiter:
    """A dependency of the routes that cost something."""

    def __init__(self, rates: Rates, ledger: Ledger) -> None:
        self._rates = rates
        self._ledger = ledger

    async def __call__(self, request: Request, response: Response) -> None:
        """As `check`, for routes whose answer FastAPI makes."""
        await self.check(request)
        response.headers.update(request.state.quota)

    async def check(self, request: Request) -> None:
        """Leaves the headers that every answer has in `request.state.quota`.

        Raises `HttpError` 429 with those and Retry-After.
        """
        principal: Principal | None = getattr(request.state, "principal", None)
        rate = self._rates.of(principal.role if principal else NOBODY)
        decision = await self._ledger.take(_client(request, principal), rate)
        headers = _headers(decision, rate)
        request.state.quota = headers
        if not decision.allowed:
            wait = max(1, math.ceil(decision.retry_after))
            raise HttpError(
                429, "over_quota", "this client asks too often",
                allowed=f"{rate.per_second:g} requests a second, {rate.burst} at once",
                fix=f"try again in {wait} s, as Retry-After says", headers={**headers, "retry-after": str(wait)},
            )  # fmt: skip


def _client(request: Request, principal: Principal | None) -> str:
    if principal is not None:
        return f"subject:{principal.subject}"
    return f"address:{request.client.host if request.client else ''}"


def _headers(decision: Decision, rate: Rate) -> dict[str, str]:
    """As most clients know them (draft-ietf-httpapi-ratelimit-headers-07)."""
    return {
        "ratelimit-limit": str(rate.burst),
        "ratelimit-remaining": str(decision.remaining),
        "ratelimit-reset": str(math.ceil(decision.reset)),
        "ratelimit-policy": f"{rate.burst};w={math.ceil(rate.burst / rate.per_second)}",
    }
