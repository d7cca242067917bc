"""HTTP connections within bounds: how many, how long they may take to ask, and how much they may send beside a body.

uvicorn bounds none of the three: a client that connects and says nothing, or whose headers never end, stays for ever.
"""

from __future__ import annotations

import asyncio
import resource
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from identity_masker.serving import problem
from identity_masker.serving.body import LEFT
from identity_masker.serving.problem import HttpError, overloaded
from identity_masker.telemetry.http import SECURITY_HEADERS

SPARE_FILES = 256
"""Files that stay for logs, databases and model servers."""

CHUNK_OVERHEAD = 8
"""Bytes of framing for a byte of body: a chunk of one byte takes six."""


class Bounds(NamedTuple):
    """connections   open at a time; who comes then is told to come back
    head_seconds  for the request line and the headers
    head_bytes    of request line, headers and trailers
    """

    connections: int = 16_384
    head_seconds: float = 15.0
    head_bytes: int = 64 << 10


def allow_files(wanted: int) -> int:
    """Let this process open as many files as it may, and return how many of `wanted` connections fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(1, min(wanted, hard - SPARE_FILES))


def bounded(bounds: Bounds) -> type[asyncio.Protocol]:
    """A protocol for uvicorn that keeps within `bounds`."""
    return type("Bounded", (BoundedConnection,), {"bounds": bounds})


class BoundedConnection(HttpToolsProtocol):
    """One connection of a client."""

    bounds = Bounds()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._received = 0
        self._body = 0
        self._left: Callable[[], object] | None = None
        self._lost = False

    def when_left(self, then: Callable[[], object] | None) -> None:
        """Call `then` once the client has closed the connection, at once if it has; None: no longer.

        What ASGI offers for this is to wait for a message, in a task of its own: that costs a tenth of a small request.
        """
        self._left = then
        if then is None:
            return
        if self._lost:
            then()
        else:
            self.flow.resume_reading()  # it stands still after a large body, and the end would not be seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        if len(self.connections) > self.bounds.connections:
            self._refuse(overloaded("too many connections are open", "connections", seconds=1))
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)
        self._lost = True
        if self._left is not None:
            self._left()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._received += len(data)
        super().data_received(data)
        if self.parser is None or self.transport.is_closing():
            return
        if self._received - self._body > self.bounds.head_bytes + CHUNK_OVERHEAD * self._body:
            self._refuse(_too_long(self.bounds.head_bytes))
        elif self._waits():
            self._await_head()

    def on_headers_complete(self) -> None:
        self._head_came()
        cast(dict[str, Any], self.scope)["extensions"] = {LEFT: self.when_left}
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._received = self._body = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn for what is not HTTP."""
        what = HttpError(400, "not_http", "this is not a valid HTTP/1.1 request", fix="send one; see /docs")
        self._refuse(what)

    def _waits(self) -> bool:
        """Whether no request is being answered: what came is a part of a head."""
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.bounds.head_seconds, self._too_slow)

    def _head_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._received:
            self._refuse(_too_slow(self.bounds.head_seconds))
        else:
            self.transport.close()

    def _refuse(self, error: HttpError) -> None:
        """Answer without the application, and close."""
        self._head_came()
        if self._waits():
            self.transport.write(_response(error))
        self.transport.close()


def _response(error: HttpError) -> bytes:
    made = problem.response(error, request_id := uuid.uuid4().hex)
    headers = [*made.raw_headers, *SECURITY_HEADERS, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
    lines = [STATUS_LINE[error.status].rstrip(), *(name + b": " + value for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + bytes(made.body)


def _too_long(most: int) -> HttpError:
    return HttpError(
        431, "headers_too_long", "the headers are too long", allowed=f"at most {most} bytes", fix="send fewer headers"
    )


def _too_slow(seconds: float) -> HttpError:
    return HttpError(
        408, "slow_headers", "the headers did not arrive in time", allowed=f"within {seconds:g} s", fix="send it again"
    )
