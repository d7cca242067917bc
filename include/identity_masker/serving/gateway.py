"""The gateway: one public address in front of all model servers, driven by the routing table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.types import ASGIApp

from identity_masker.errors import NotFoundError, TemporaryError
from identity_masker.serving import bundle, gateway_routes, outcomes, pictures, units
from identity_masker.serving.answers import SHADOW, SHARE, Answer
from identity_masker.serving.api import Health
from identity_masker.serving.board import Board, Watcher
from identity_masker.serving.body import Room, read_body, unless_gone
from identity_masker.serving.characteristics import UNKNOWN, Characteristics, LookUp, strength
from identity_masker.serving.consented import Consented
from identity_masker.serving.control import Revision
from identity_masker.serving.exposures import Assign, attributes
from identity_masker.serving.forwarding import NEVER_REACHED, Forwarder, Outgoing, no_server
from identity_masker.serving.gateway_measures import GatewayMeasures
from identity_masker.serving.guard import Guard
from identity_masker.serving.mirror import Mirror
from identity_masker.serving.outcomes import Accepted
from identity_masker.serving.problem import HttpError, overloaded
from identity_masker.serving.quality import Sampler
from identity_masker.serving.quality_measures import QualityMeasures
from identity_masker.serving.quota.limiter import Limiter
from identity_masker.serving.request_log import Quest, RequestLog, Served
from identity_masker.serving.routing import TESTER, choose, shadow
from identity_masker.serving.scorer import Scorer
from identity_masker.serving.upstream import Headers, Reply
from identity_masker.telemetry import logs
from identity_masker.telemetry.events import EventLog
from identity_masker.telemetry.http import Edge, Exchange
from identity_masker.telemetry.metrics import HttpMetrics

DEPLOY_HINT = "run `masker deploy --version challenger`, or trigger the pipeline: `make run`"
STRENGTH = b"x-masking-strength"
MASK_TARGET = gateway_routes.MASK.encode()
FORWARDED = frozenset(
    {
        b"content-type",
        b"accept",
        b"x-consistency-key",
        b"x-request-timeout",
        b"x-correlation-id",
        b"tracestate",
        STRENGTH,
    }
)
RETURNED = (b"content-type", b"x-model-version", b"retry-after", b"vary", b"accept", b"x-masked", b"x-failed")
log = logs.logger(__name__)


class GatewayConfig(BaseModel):
    """What one gateway takes on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    capacity: int = Field(default=512, ge=1, description="Requests taken on at a time; more get 503.")
    max_bytes: int = Field(default=20 * 2**20, ge=1, description="Size of a body.")
    body_bytes: int = Field(default=256 * 2**20, ge=1, description="Of all bodies at a time; more get 503.")
    body_seconds: float = Field(default=15.0, gt=0, description="Time for a body to arrive.")
    answer_seconds: float = Field(default=35.0, gt=0, description="Time for a model server to answer.")
    hedge_seconds: float = Field(
        default=0.0, ge=0, description="A second model server is asked too after so long; 0: never."
    )
    events_dir: Path | None = Field(default=None, description="Folder of the event log; without one nothing is logged.")
    examiner: str = Field(default="", description="Folder of the one that scores answers, or `registry`; empty: none.")
    quality_share: float = Field(default=0.25, ge=0, le=1, description="Share of the answers that are scored.")
    quality_rate: float = Field(default=4.0, gt=0, description="Answers a second that are scored at most, per version.")
    mirrored: int = Field(default=16, ge=0, description="Requests copied to a shadow at a time; more are not copied.")
    example_seconds: float = Field(default=0.0, ge=0, description="Between masked answers that are kept; 0 keeps none.")
    sample_share: float = Field(default=0.0, ge=0, le=1, description="Of the pictures with consent that are kept.")
    unit_key: SecretStr = Field(default=SecretStr(""), description="Secret that user ids are hashed with.")
    lookup_seconds: float = Field(default=0.02, gt=0, description="Time to look up what is known of a user.")


class _Target(NamedTuple):
    """Where a request goes, and why: by `experiment`, or as `Choice.fallback` says.

    `semver` is the version's number where the routing table does not know its name.
    """

    variant: str
    version: str
    semver: str
    via: str


class _TimedReply(NamedTuple):
    """A reply, and how it was counted."""

    reply: Reply
    timed: Answer


class Gateway:
    """The state of the gateway and its application. `app` is to be served by one event loop."""

    def __init__(
        self,
        config: GatewayConfig,
        control_url: str,
        *,
        assign: Assign | None = None,
        look_up: LookUp | None = None,
        guard: Guard | None = None,
        limiter: Limiter | None = None,
        release: Callable[[], BaseModel] | None = None,
        credentials: Callable[[], str | None] = lambda: None,
        operations_apart: bool = False,
    ) -> None:
        """`assign` says which experiments a user is in; without it there are none. `look_up` tells what is
        known of a user, and `release` of the newest one.

        Without `guard` all may ask, and without `limiter` as often as they like. `credentials()` is the token that
        model servers get. With `operations_apart`, `app` has no metrics and no operations: `operations` has them.
        """
        self.config = config
        self.guard = guard
        self.limiter = limiter
        self._release = release
        self.board = Board()
        self.metrics = HttpMetrics("gateway")
        self._control_url = control_url
        self._assign = assign
        self._taken = 0
        self._room = Room(config.body_bytes)
        self._draining = False
        self._watcher: Watcher | None = None
        self._events: EventLog | None = None
        self._request_log: RequestLog | None = None
        self._measures = GatewayMeasures(self.metrics, self.board)
        registry = self.metrics.registry
        self._known = Characteristics(look_up, registry, deadline=config.lookup_seconds) if look_up else None
        self._forwarder = Forwarder(
            self.board, self._measures, credentials=credentials, hedge_seconds=config.hedge_seconds
        )
        self._scorer: Scorer | None = None
        self._quality = QualityMeasures(self.metrics.registry, lambda: self._scorer.examiner if self._scorer else "")
        self._mirror = Mirror(self._measures.answers, config.mirrored)
        public = gateway_routes.routes(self, operations=not operations_apart)
        self.app: ASGIApp = Edge(public, metrics=self.metrics, closing=lambda: self._draining, done=self._answered)
        self.operations: ASGIApp = Edge(gateway_routes.operations(self), metrics=self.metrics)

    def drain(self) -> None:
        """Say "not ready" from now on, and go on answering."""
        self._draining = True

    @asynccontextmanager
    async def running(self, _app: FastAPI) -> AsyncIterator[None]:
        """Follow the control database and keep the event log open while the application runs."""
        if self.config.events_dir is not None:
            self._events = EventLog(self.config.events_dir, registry=self.metrics.registry)
            kept = Consented(self.config.events_dir, self.config.sample_share, self._events.measures)
            keeps = self.config.example_seconds
            self._request_log = RequestLog(self._events, self._quest(), kept, example_seconds=keeps)
        async with Watcher(self.board, self._control_url, self._measures.update) as self._watcher:
            yield
        await self._mirror.close()
        for server in self.board.servers.values():
            server.upstream.close()
        if self._known is not None:
            self._known.close()
        await asyncio.to_thread(self._close_log)

    def _quest(self) -> Quest | None:
        """How the quality of answers is measured, if somebody can."""
        config = self.config
        if not config.examiner:
            return None
        self._scorer = Scorer(config.examiner, steady=self._steady)
        return Quest(Sampler(config.quality_share, config.quality_rate), self._scorer, self._quality)

    def _steady(self) -> bool:
        """Whether one version has all traffic, so that no release is under way."""
        return self.board.revision is None or len(self.board.revision.table.variants) == 1

    def _close_log(self) -> None:
        if self._request_log is not None and self._events is not None:
            self._request_log.close()
            if self._scorer is not None:
                self._scorer.close()
            self._events.close()

    def _answered(self, route: str, exchange: Exchange, seconds: float) -> None:
        if route != gateway_routes.MASK:
            return
        if exchange.status == NEVER_REACHED:
            self._measures.rejected(str(exchange.fields.get("reason", "")))
        if self._request_log is not None:
            self._request_log.done(exchange, seconds)

    def live(self) -> Health:
        """Raises `HttpError` 503 when nothing follows the control database any more."""
        if self._watcher is None or not self._watcher.alive:
            raise HttpError(503, "watcher_dead", "nothing follows the routing table any more", fix="restart it")
        return Health(status="live")

    def ready(self) -> Health:
        """Raises `HttpError` 503 before the first deployment, without a ready champion, and while draining."""
        if self._draining:
            raise overloaded("the gateway is stopping", "not_ready_draining", seconds=1)
        revision = self.deployed()
        champion = revision.table.variants[revision.table.champion]
        if champion.version not in self.board.served():
            raise no_server(champion.semver)
        return Health(status="ready", model_version=champion.semver)

    async def mask(
        self, request: Request, user: str | None, given: str | None, *, consent: bool = False, source: str = ""
    ) -> Response:
        """Pass one picture to the variant that an experiment or the routing table gives this user.

        `given`: the header x-user-attributes. `consent`: whether the picture may be kept. `source`: x-source-id. Raises
        `HttpError`, which the application turns into a problem.
        """
        exchange: Exchange = request.state.exchange
        exchange.evidence = served = Served(consent=consent, source=source)
        content_type = request.headers.get("content-type")
        if bundle.kind_of(content_type) is None:
            pictures.check_content_type(content_type)
        revision = self.deployed()
        if self._taken >= self.config.capacity:
            raise overloaded("the gateway is full", "overloaded", seconds=1)
        await self._enter(served, user, given)
        self._taken += 1
        self._measures.taken.inc()
        try:
            with self._room.held() as take:
                body = await read_body(
                    request, max_bytes=self.config.max_bytes, seconds=self.config.body_seconds, take=take
                )
                target = self._target(revision, user or exchange.request_id, served, request.headers)
                answer = await unless_gone(request, self._answer(target, request, body))
        finally:
            self._taken -= 1
            self._measures.taken.dec()
        reply = answer.reply
        served.picture, served.reply = body, reply
        served.semver = reply.headers.get(b"x-model-version", target.semver.encode()).decode("latin-1")
        exchange.note(variant=target.variant, bytes_out=len(reply.body))
        self._copy(revision, served, answer.timed, request, body)
        headers = {n.decode(): reply.headers[n].decode("latin-1") for n in RETURNED if n in reply.headers}
        headers |= getattr(request.state, "quota", {})
        return Response(reply.body, reply.status, {**headers, "x-variant": target.variant})

    async def _enter(self, served: Served, user: str | None, given: str | None) -> None:
        """Who asks, what is known of them, and which experiments they are in. What the request says counts more."""
        served.attributes = attributes(given)
        if not user:
            return
        served.unit = units.unit(self.config.unit_key.get_secret_value(), user)
        known = await self._known.of(served.unit) if self._known is not None else UNKNOWN
        served.attributes, served.strength = {**known, **served.attributes}, strength(known)
        if self._assign is None:
            return
        try:
            served.exposures = tuple(self._assign(served.unit, served.attributes))
        except Exception:  # an experiment must not keep anybody from being masked
            self._measures.unassigned.inc()
            log.exception("assignment_failed")

    def _target(self, revision: Revision, who: str, served: Served, headers: Mapping[str, str]) -> _Target:
        target = self._chosen(revision, who, served, headers)
        served.variant, served.version, served.semver = target.variant, target.version, target.semver
        served.via = target.via or SHARE
        self._measures.chosen(target.variant, target.via)
        return target

    def _chosen(self, revision: Revision, who: str, served: Served, headers: Mapping[str, str]) -> _Target:
        """What a tester asked for, else the first experiment whose version is ready, else what the shares say."""
        table, ready = revision.table, self.board.served()
        choice = choose(table, who, datetime.now(UTC), ready, headers)
        for exposure in served.exposures if choice.fallback != TESTER else ():
            if exposure.version is not None and exposure.version in ready:
                name = f"{exposure.experiment}:{exposure.variant}"
                return _Target(name, exposure.version, exposure.version, "experiment")
        variant = table.variants[choice.variant]
        return _Target(choice.variant, variant.version, variant.semver, choice.fallback)

    def _copy(self, revision: Revision, served: Served, answer: Answer, request: Request, body: bytes) -> None:
        """Send the request to the shadow too, if this one is drawn and there is room."""
        table, exchange = revision.table, request.state.exchange
        if served.variant != table.champion or served.via != SHARE:
            return
        name = shadow(table, exchange.request_id, datetime.now(UTC), self.board.served())
        if name is None:
            return
        if self._mirror.full or self._taken > self.config.capacity // 2:
            self._measures.unmirrored.inc()
            return
        variant = table.variants[name]
        target, quiet = (
            _Target(name, variant.version, variant.semver, SHADOW),
            Exchange(exchange.request_id, span=exchange.span),
        )

        def send() -> Awaitable[Reply]:
            return self._from(target, request, body, quiet)

        self._mirror.copy(exchange, (served, answer), (name, variant), send, self._request_log)

    async def _answer(self, target: _Target, request: Request, body: bytes) -> _TimedReply:
        with self._measures.answers.timed(target.variant, target.version, target.via or SHARE) as answer:
            reply = await self._from(target, request, body, request.state.exchange)
            answer.status = reply.status
        return _TimedReply(reply, answer)

    async def _from(self, version: _Target, request: Request, body: bytes, exchange: Exchange) -> Reply:
        """The answer of one version."""
        query = request.scope["query_string"]
        outgoing = Outgoing(MASK_TARGET + (b"?" + query if query else b""), _forwarded(request), body)
        return await self._forwarder.ask(
            version.version, version.semver, outgoing, exchange, seconds=self.config.answer_seconds
        )

    async def accept(self, request: Request, user: str) -> Accepted:
        """Write the outcome events of a request to the log. Raises `HttpError`, 503 when the log takes none."""
        outcomes.check_content_type(request.headers.get("content-type"))
        body = await read_body(request, max_bytes=outcomes.MAX_BYTES, seconds=self.config.body_seconds)
        unit = units.unit(self.config.unit_key.get_secret_value(), user)
        rows = outcomes.rows(body, unit, datetime.now(UTC))
        if self._events is None or not await asyncio.to_thread(self._events.writer("outcomes").append_all, rows):
            raise overloaded("the event log takes no events now", "event_log", seconds=5)
        return Accepted(accepted=len(rows))

    def release(self) -> dict[str, Any]:
        """How the newest release stands. Raises `HttpError`: 404 before the first, 503 when it cannot be read."""
        try:
            if self._release is None:
                raise NotFoundError("this gateway knows of no releases")
            return self._release().model_dump(mode="json")
        except NotFoundError as error:
            raise HttpError(404, "no_release", error.what, fix="start one: `masker release start`") from error
        except TemporaryError as error:
            raise overloaded(error.what, "release_unknown", seconds=2) from error

    def deployed(self) -> Revision:
        if self.board.revision is not None:
            return self.board.revision
        if not self.board.read_at:
            raise overloaded("the control database has not been read yet", "not_ready", seconds=1)
        raise overloaded("no model deployed yet", "no_model", seconds=5, fix=DEPLOY_HINT)


def _forwarded(request: Request) -> Headers:
    exchange: Exchange = request.state.exchange
    headers = [pair for pair in request.scope["headers"] if pair[0] in FORWARDED]
    headers.append((b"x-request-id", exchange.request_id.encode()))
    chosen = exchange.evidence.strength if isinstance(exchange.evidence, Served) else None
    if chosen is not None and STRENGTH.decode() not in request.headers and "strength" not in request.query_params:
        headers.append((STRENGTH, f"{chosen:g}".encode()))
    return headers
