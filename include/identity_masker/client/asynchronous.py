"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Self

import httpx

from identity_masker.client import answers
from identity_masker.client.answers import Masked, Outcome
from identity_masker.client.attempts import Send, attempts
from identity_masker.client.retries import Retries
from identity_masker.client.synchronous import CONNECTIONS, TIMEOUT


class AsyncMaskerClient:
    """As `MaskerClient`, for one event loop."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        retries: Retries | None = None,
        timeout: float = TIMEOUT,
        connections: int | None = CONNECTIONS,
        correlation_id: str = "",
    ) -> None:
        """As `MaskerClient`. `connections` at a time; further requests wait, and with None there is no bound."""
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=CONNECTIONS)
        headers = answers.common_headers(token, correlation_id)
        self._http = httpx.AsyncClient(base_url=url, headers=headers, limits=limits, trust_env=False)
        self._retries = retries or Retries()
        self._timeout = timeout

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def mask(
        self,
        picture: bytes,
        *,
        key: str | None = None,
        accept: str | None = None,
        user: str | None = None,
        attributes: Mapping[str, object] | None = None,
        consent: bool = False,
    ) -> Masked:
        """As `MaskerClient.mask`."""
        name = answers.new_request_id()
        request = answers.picture_request(
            picture, key=key, accept=accept, user=user, attributes=attributes, consent=consent, request_id=name
        )
        return answers.masked(await self._send(request, name))

    async def tell(self, user: str, outcomes: Iterable[Outcome]) -> int:
        """As `MaskerClient.tell`."""
        name = answers.new_request_id()
        answer = await self._send(answers.events_request(user, outcomes, name), name)
        return int(answer.json()["accepted"])

    async def ready(self) -> bool:
        """Whether the gateway would answer a picture now."""
        try:
            return (await self._http.get("/health/ready", timeout=self._timeout)).is_success
        except httpx.TransportError:
            return False

    async def _send(self, request: httpx.Request, name: str) -> httpx.Response:
        steps = attempts(self._retries, name, self._timeout)
        step, answer = next(steps), None
        while True:
            if isinstance(step, Send):
                answer = await self._try(request, step.seconds)
            else:
                await asyncio.sleep(step.seconds)
            try:
                step = steps.send(answer)
            except StopIteration as done:
                found: httpx.Response = done.value
                return found

    async def _try(self, request: httpx.Request, seconds: float) -> httpx.Response | None:
        try:
            return await self._http.request(
                request.method, str(request.url), content=request.content, headers=request.headers, timeout=seconds
            )
        except httpx.TransportError:
            return None
