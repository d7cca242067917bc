"""The gateway: one public address in front of all model servers, driven by the routing table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request, Response
from prometheus_client import Counter, Gauge
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp

from identity_masker.serving import pictures
from identity_masker.serving.answers import SHARE, Answers
from identity_masker.serving.api import BODY, DESCRIPTION, HeaderKey, Health, QueryKey, mask_responses
from identity_masker.serving.application import application
from identity_masker.serving.board import Board, Server, Watcher
from identity_masker.serving.body import read_body, unless_gone
from identity_masker.serving.control import Revision
from identity_masker.serving.problem import HttpError, documented, overloaded
from identity_masker.serving.routing import Variant, choose
from identity_masker.serving.upstream import Headers, Reply, UpstreamError
from identity_masker.telemetry import logs
from identity_masker.telemetry.http import Edge, Exchange
from identity_masker.telemetry.metrics import HttpMetrics

DEPLOY_HINT = "run `masker deploy --version challenger`, or trigger the pipeline: `make run`"
FORWARDED = (b"content-type", b"accept", b"x-consistency-key", b"traceparent", b"tracestate")
RETURNED = (b"content-type", b"x-model-version", b"retry-after", b"vary", b"accept")
NEVER_REACHED = 503
"""A model server answers this before its model sees a request: full, loading or draining."""

VARIANT_HEADER = {
    "x-variant": {"description": "Name of the variant in the routing table.", "schema": {"type": "string"}}
}
UserId = Annotated[
    str | None,
    Header(
        alias="x-user-id",
        max_length=256,
        description="The same user stays with the same variant. Hashed here, never logged and never passed on.",
    ),
]
log = logs.logger(__name__)


class GatewayConfig(BaseModel):
    """What one gateway takes on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    capacity: int = Field(default=512, ge=1, description="Requests taken on at a time; more get 503.")
    max_bytes: int = Field(default=20 * 2**20, ge=1, description="Size of a body.")
    body_seconds: float = Field(default=15.0, gt=0, description="Time for a body to arrive.")
    answer_seconds: float = Field(default=35.0, gt=0, description="Time for a model server to answer.")


class Gateway:
    """The state of the gateway and its application. `app` is to be served by one event loop."""

    def __init__(self, config: GatewayConfig, control_url: str) -> None:
        self.config = config
        self.board = Board()
        self.metrics = HttpMetrics("gateway")
        self._control_url = control_url
        self._taken = 0
        self._draining = False
        self._watcher: Watcher | None = None
        self._measures = _Measures(self.metrics, self.board)
        self.app: ASGIApp = Edge(_routes(self), metrics=self.metrics, closing=lambda: self._draining)

    def drain(self) -> None:
        """Say "not ready" from now on, and go on answering."""
        self._draining = True

    @asynccontextmanager
    async def running(self, _app: FastAPI) -> AsyncIterator[None]:
        """Follow the control database while the application runs."""
        async with Watcher(self.board, self._control_url, self._measures.update) as self._watcher:
            yield
        for server in self.board.servers.values():
            server.upstream.close()

    def live(self) -> Health:
        """Raises `HttpError` 503 when nothing follows the control database any more."""
        if self._watcher is None or not self._watcher.alive:
            raise HttpError(503, "watcher_dead", "nothing follows the routing table any more", fix="restart it")
        return Health(status="live")

    def ready(self) -> Health:
        """Raises `HttpError` 503 before the first deployment, without a ready champion, and while draining."""
        if self._draining:
            raise overloaded("the gateway is stopping", "not_ready_draining", seconds=1)
        revision = self._deployed()
        champion = revision.table.variants[revision.table.champion]
        if champion.version not in self.board.served():
            raise _no_server(champion.semver)
        return Health(status="ready", model_version=champion.semver)

    async def mask(self, request: Request, user: str | None) -> Response:
        """Pass one picture to the variant that the routing table gives this user.

        Raises `HttpError`, which the application turns into a problem.
        """
        exchange: Exchange = request.state.exchange
        pictures.check_content_type(request.headers.get("content-type"))
        revision = self._deployed()
        if self._taken >= self.config.capacity:
            raise overloaded("the gateway is full", "overloaded", seconds=1)
        self._taken += 1
        try:
            body = await read_body(request, max_bytes=self.config.max_bytes, seconds=self.config.body_seconds)
            answer = asyncio.create_task(self._answer(revision, user or exchange.request_id, request, body))
            variant, reply = await unless_gone(request, answer)
        finally:
            self._taken -= 1
        exchange.note(variant=variant, bytes_out=len(reply.body))
        headers = {n.decode(): reply.headers[n].decode("latin-1") for n in RETURNED if n in reply.headers}
        return Response(reply.body, reply.status, {**headers, "x-variant": variant})

    async def _answer(self, revision: Revision, who: str, request: Request, body: bytes) -> tuple[str, Reply]:
        """The answer and its variant."""
        table = revision.table
        choice = choose(table, who, datetime.now(UTC), self.board.served(), request.headers)
        self._measures.chosen(choice.variant, choice.fallback)
        variant = table.variants[choice.variant]
        with self._measures.answers.timed(choice.variant, variant.version, choice.fallback or SHARE) as answer:
            reply = await self._from(variant, request, body)
            answer.status = reply.status
        return choice.variant, reply

    async def _from(self, version: Variant, request: Request, body: bytes) -> Reply:
        """The answer of one version, from a second model server when the first never looked at the request."""
        query = request.scope["query_string"]
        target = b"/v1/mask" + (b"?" + query if query else b"")
        headers = _forwarded(request)

        async def send(server: Server) -> Reply:
            return await server.upstream.post(target, headers, body, seconds=self.config.answer_seconds)

        first = self.board.pick(version.version)
        if first is None:
            raise _no_server(version.semver)
        second = None
        reply = await self._try(first, send)
        if reply is None or reply.status == NEVER_REACHED:
            second = self.board.pick(version.version, without=first)
        if second is not None:
            self._measures.retries.inc()
            request.state.exchange.note(retried=True)
            reply = await self._try(second, send) or reply
        if reply is None:
            raise _no_server(version.semver)
        return reply

    async def _try(self, server: Server, send: Callable[[Server], Awaitable[Reply]]) -> Reply | None:
        """The reply, or None when the connection failed. Masking changes nothing, so sending it again is safe."""
        try:
            reply = await send(server)
        except UpstreamError as error:
            server.failed()
            log.warning("server_failed", url=server.endpoint.url, why=error.reason, sent=error.sent)
            return None
        except TimeoutError as error:
            raise HttpError(
                504,
                "upstream_deadline",
                "the model server did not answer in time",
                allowed=f"an answer within {self.config.answer_seconds:g} s",
                fix="try again later",
            ) from error
        server.worked()
        return reply

    def _deployed(self) -> Revision:
        if self.board.revision is not None:
            return self.board.revision
        if not self.board.read_at:
            raise overloaded("the control database has not been read yet", "not_ready", seconds=1)
        raise overloaded("no model deployed yet", "no_model", seconds=5, fix=DEPLOY_HINT)


def _no_server(semver: str) -> HttpError:
    return overloaded(
        f"no model server of version {semver} is ready",
        "no_server",
        seconds=2,
        fix="try again, as Retry-After says; if it stays so, see the logs of `masker fleet`",
    )


def _forwarded(request: Request) -> Headers:
    headers = [pair for pair in request.scope["headers"] if pair[0] in FORWARDED]
    headers.append((b"x-request-id", request.state.exchange.request_id.encode()))
    return headers


class _Measures:
    """Metrics of routing beside those of HTTP."""

    def __init__(self, metrics: HttpMetrics, board: Board) -> None:
        registry = metrics.registry
        self._board = board
        self._chosen = Counter(
            "masker_gateway_decisions",
            "Requests by the variant they went to, and why not to the one drawn.",
            ["variant", "fallback"],
            registry=registry,
        )
        self._revision = Gauge("masker_gateway_routing_revision", "Revision of the routing table.", registry=registry)
        self._share = Gauge("masker_gateway_share", "Share by the table.", ["variant", "semver"], registry=registry)
        self._servers = Gauge("masker_gateway_servers", "Usable model servers.", registry=registry)
        self.retries = Counter("masker_gateway_retries", "Requests sent to a second server.", registry=registry)
        self.answers = Answers(registry)
        self._seen = 0

    def chosen(self, variant: str, fallback: str) -> None:
        self._chosen.labels(variant, fallback).inc()

    def update(self) -> None:
        """Follow the board after it was read."""
        self._servers.set(sum(1 for s in self._board.servers.values() if s.endpoint.state == "ready"))
        revision = self._board.revision
        if revision is None or revision.number == self._seen:
            return
        self._seen = revision.number
        self._revision.set(revision.number)
        self._share.clear()
        for name, variant in revision.table.variants.items():
            self._share.labels(name, variant.semver).set(variant.share)


def _routes(gateway: Gateway) -> FastAPI:
    app = application("Identity masker", DESCRIPTION, gateway.metrics)
    app.router.lifespan_context = gateway.running

    @app.post(
        "/v1/mask",
        tags=["masking"],
        summary="Mask one picture",
        description=DESCRIPTION,
        response_class=Response,
        responses=mask_responses(400, 408, 413, 415, 422, 500, 503, 504, headers=VARIANT_HEADER),
        openapi_extra=BODY,
    )
    async def mask(
        request: Request, key: QueryKey = None, header_key: HeaderKey = None, user: UserId = None
    ) -> Response:
        # The key goes on with the request; it is declared here so that a wrong one fails early.
        return await gateway.mask(request, user)

    @app.get("/health/live", tags=["operations"], summary="Does the process work?", responses=documented(503))
    async def live() -> Health:
        return gateway.live()

    @app.get("/health/ready", tags=["operations"], summary="Should it get requests?", responses=documented(503))
    async def ready() -> Health:
        return gateway.ready()

    @app.get("/v1/routing", tags=["operations"], summary="Who gets which share", responses=documented(503))
    async def routing() -> dict[str, Any]:
        revision = gateway._deployed()
        return {"revision": revision.number, **revision.table.model_dump(mode="json")}

    return app
