"""Takes a request to a model server of a version: which of them, for how long, and what if it does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol

from identity_masker.serving.board import Board, Server
from identity_masker.serving.problem import HttpError, overloaded
from identity_masker.serving.upstream import LAST_CONNECT_SECONDS, ConnectTimeoutError, Headers, Reply, UpstreamError
from identity_masker.telemetry import logs, tracing
from identity_masker.telemetry.http import Exchange

NEVER_REACHED = 503
"""A model server answers this before its model sees a request: full, loading or draining."""

Tried = Reply | UpstreamError
log = logs.logger(__name__)


class Outgoing(NamedTuple):
    """A request as a model server gets it, but for the headers of one try: its trace and the gateway's token."""

    target: bytes
    headers: Headers
    body: bytes


class Counts(Protocol):
    """What is counted of the tries."""

    def failed(self, version: str) -> None:
        """A connection failed."""

    def retried(self) -> None:
        """A request was sent to a second server."""

    def hedged(self) -> None:
        """A request was sent to a second server while the first one worked on it."""


class Forwarder:
    """Asks a model server, and at most one other.

    Another one is asked when the first has not looked at the request (503), or when the connection to it failed: who
    was killed cannot say how far it came, and masking twice harms nobody. No other answer is asked for twice. Where
    there is no other, the first is asked again if the connection to it took too long, and given more time for that.
    """

    def __init__(
        self, board: Board, counts: Counts, *, credentials: Callable[[], str | None], hedge_seconds: float = 0.0
    ) -> None:
        """`credentials()`: a token for model servers, where they ask for one. `hedge_seconds`: ask another server too
        after so long (J. Dean and L. A. Barroso, "The Tail at Scale", 2013); 0: never."""
        self._board, self._counts = board, counts
        self._credentials, self._hedge = credentials, hedge_seconds

    async def ask(self, version: str, semver: str, request: Outgoing, exchange: Exchange, *, seconds: float) -> Reply:
        """The answer of one version.

        Raises `HttpError`: 503 when no model server of it can be reached, 504 after `seconds`.
        """
        first = self._board.pick(version)
        if first is None:
            raise no_server(semver)
        reply = await self._first(first, version, request, exchange, seconds)
        if isinstance(reply, UpstreamError) or reply.status == NEVER_REACHED:
            late = isinstance(reply, ConnectTimeoutError)
            second = self._board.pick(version, without=first) or (first if late else None)
            if second is not None:
                self._counts.retried()
                exchange.note(retried=True)
                again = await self._try(second, request, exchange, seconds, again=True)
                reply = reply if isinstance(again, UpstreamError) else again
        if isinstance(reply, UpstreamError):
            raise no_server(semver)
        return reply

    async def _first(self, first: Server, version: str, request: Outgoing, exchange: Exchange, seconds: float) -> Tried:
        if not self._hedge:
            return await self._try(first, request, exchange, seconds)
        asked = asyncio.create_task(self._try(first, request, exchange, seconds))
        try:
            await asyncio.wait({asked}, timeout=self._hedge)
            other = None if asked.done() else self._board.pick(version, without=first)
            if other is None:
                return await asked
            self._counts.hedged()
            exchange.note(hedged=True)
            return await self._either(asked, asyncio.create_task(self._try(other, request, exchange, seconds)))
        finally:
            asked.cancel()

    async def _either(self, first: asyncio.Task[Tried], second: asyncio.Task[Tried]) -> Tried:
        """The first answer that is one; the request that lost is taken back."""
        try:
            for each in asyncio.as_completed((first, second)):
                reply = await each
                if not isinstance(reply, UpstreamError) and reply.status != NEVER_REACHED:
                    return reply
            return reply
        finally:
            second.cancel()

    async def _try(
        self, server: Server, request: Outgoing, exchange: Exchange, seconds: float, *, again: bool = False
    ) -> Tried:
        """The reply, or why there is none. `again`: nobody else will be asked."""
        span = tracing.begin("POST", exchange.span.context, "client")
        span.set(http__request__method="POST", server__address=server.endpoint.url, http__request__resend_count=again)
        status = 0
        try:
            headers = self._headers(request, span)
            connect = LAST_CONNECT_SECONDS if again else None
            reply = await server.upstream.post(
                request.target, headers, request.body, seconds=seconds, connect_seconds=connect
            )
            status = reply.status
        except UpstreamError as error:
            server.failed()
            self._counts.failed(server.endpoint.version)
            log.warning("server_failed", url=server.endpoint.url, why=error.reason, sent=error.sent)
            return error
        except TimeoutError as error:
            server.answered(504)
            raise HttpError(
                504,
                "upstream_deadline",
                "the model server did not answer in time",
                allowed=f"an answer within {seconds:g} s",
                fix="try again later",
            ) from error
        finally:
            span.set(http__response__status_code=status)
            span.end(failed=not status or status >= 500)
        server.answered(status)
        return reply

    def _headers(self, request: Outgoing, span: tracing.Span) -> Headers:
        headers = [*request.headers, (b"traceparent", span.context.header().encode())]
        token = self._credentials()
        if token is not None:
            headers.append((b"authorization", b"Bearer " + token.encode()))
        return headers


def no_server(semver: str) -> HttpError:
    """503: nobody who serves this version can be reached."""
    return overloaded(
        f"no model server of version {semver} is ready",
        "no_server",
        seconds=2,
        fix="try again, as Retry-After says; if it stays so, see the logs of `masker fleet`",
    )
