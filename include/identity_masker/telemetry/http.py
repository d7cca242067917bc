"""The outermost layer of every HTTP service: request id, access log, metrics, security headers."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from identity_masker.telemetry import logs, trace_context, tracing
from identity_masker.telemetry.metrics import HttpMetrics
from identity_masker.telemetry.tracing import Span

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
CORRELATION_ID = re.compile(r"[A-Za-z0-9._:+-]{1,250}")
"""Of the DAG run that a request belongs to, as Airflow writes it."""

LINGER_SECONDS = 1.0
LINGER_BYTES = 64 << 20
CLIENT_GONE = 499
"""Status in metrics and logs when the client left before its answer."""

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
TRANSPORT_SECURITY = (b"strict-transport-security", b"max-age=31536000")

log = logs.logger(__name__)


@dataclass
class Exchange:
    """One request and its answer, for whoever handles it: `request.state.exchange`."""

    request_id: str
    started: float = field(default_factory=time.perf_counter)
    status: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    unread_body: bool = False
    span: Span = field(default_factory=lambda: Span(trace_context.new()))
    evidence: object = None
    """What the application leaves for whoever looks at the request after its answer."""

    def note(self, **fields: object) -> None:
        """Add fields to the access log line. Never pixels, tokens, user ids or file names."""
        self.fields.update(fields)


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """The client's x-request-id when it is well-formed, else a new one."""
    # Ids need to be unlike each other, not hard to guess.
    return _given(headers, b"x-request-id", REQUEST_ID) or f"{random.getrandbits(128):032x}"


def _given(headers: Mapping[bytes, bytes], wanted: bytes, form: re.Pattern[str]) -> str | None:
    """The value of the header, when it has the form: whatever is logged and passed on must not surprise."""
    value = headers.get(wanted)
    text = "" if value is None else value.decode("latin-1")
    return text if form.fullmatch(text) else None


class Edge:
    """Wraps a whole application, so that even an error that no route handled has a request id and a log line."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: HttpMetrics,
        closing: Callable[[], bool] = lambda: False,
        done: Callable[[str, Exchange, float], None] = lambda _route, _exchange, _seconds: None,
    ) -> None:
        """While `closing()`, connections are not kept open after their answer.

        `done(route, exchange, seconds)` is called once the answer was sent, or the client has left.
        """
        self._app = app
        self._done = done
        self._metrics = metrics
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        span = tracing.begin(scope["method"], trace_context.received(headers), "server")
        given = dict(reversed(headers))
        exchange = Exchange(request_id(given), span=span)
        scope.setdefault("state", {})["exchange"] = exchange
        tracing.enter(span)
        _bind(exchange, _given(given, b"x-correlation-id", CORRELATION_ID))
        answer = _Answer(exchange, receive, send, closing=self._closing(), secure=scope["scheme"] == "https")
        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, answer)
        except Exception:
            log.exception("request_failed", route=_route(scope))
            if not exchange.status:
                raise
        finally:
            self._metrics.in_flight.dec()
            self._report(scope, exchange)

    def _report(self, scope: Scope, exchange: Exchange) -> None:
        seconds = time.perf_counter() - exchange.started
        route, status = _route(scope), exchange.status or CLIENT_GONE
        self._metrics.observe(route, status, seconds)
        _end(exchange, scope["method"], route, status)
        told = {"method": scope["method"], "route": route, "status": status, "duration_ms": round(seconds * 1000, 3)}
        quiet = route.startswith(("/health", "/metrics"))
        logs.line(__name__, "debug" if quiet else "info", "request", {**told, **exchange.fields})
        self._done(route, exchange, seconds)


def _bind(exchange: Exchange, correlation_id: str | None) -> None:
    """What every log line of this request carries."""
    trace_id, span_id, _ = exchange.span.context
    logs.bind(request_id=exchange.request_id, trace_id=trace_id, span_id=span_id)
    if correlation_id is not None:
        logs.bind(correlation_id=correlation_id)


def _end(exchange: Exchange, method: str, route: str, status: int) -> None:
    """The span of the request is over. Names of attributes: OpenTelemetry's conventions for HTTP."""
    span = exchange.span
    span.set(http__request__method=method, http__route=route, http__response__status_code=status)
    span.set(masker__request_id=exchange.request_id)
    span.end(name=f"{method} {route}", failed=status >= 500)


def _route(scope: Scope) -> str:
    """The route's template: a path as it came may hold anything."""
    return getattr(scope.get("route"), "path", "unmatched")


class _Answer:
    """Sends the response with the headers that every response has."""

    def __init__(self, exchange: Exchange, receive: Receive, send: Send, *, closing: bool, secure: bool) -> None:
        self._exchange = exchange
        self._receive = receive
        self._send = send
        self._closing = closing
        self._secure = secure

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._exchange.status = message["status"]
            message = {**message, "headers": self._headers(list(message.get("headers", [])))}
        elif self._exchange.unread_body and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body"}
        await self._send(message)

    def _headers(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        present = {name.lower() for name, _ in headers}
        headers.append((b"x-request-id", self._exchange.request_id.encode()))
        headers.extend(pair for pair in SECURITY_HEADERS if pair[0] not in present)
        if self._secure:
            headers.append(TRANSPORT_SECURITY)
        if self._closing or self._exchange.unread_body:
            headers.append((b"connection", b"close"))
        return headers

    async def _linger(self) -> None:
        """Read on for a moment before the connection closes.

        Closing with unread data resets the connection, and the client loses the answer it was just sent.
        """
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return
        except TimeoutError:
            return
