"""Reads a request's body within a size and a time, before anything is done with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from starlette.requests import Request

from identity_masker.serving.problem import HttpError, overloaded
from identity_masker.telemetry.http import Exchange

T = TypeVar("T")
LEFT = "identity_masker.left"
"""The extension of ASGI by which our connections tell that the client has left: a function that takes a function."""


class ClientGoneError(Exception):
    """The client closed the connection: nobody waits for an answer."""


class Room:
    """The bytes of all bodies that are held at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0

    @contextmanager
    def held(self) -> Iterator[Callable[[int], None]]:
        """Gives a function that takes so many bytes more, until the block ends. It raises `HttpError` 503.

        What came is counted, not what was announced: clients that only say much keep nobody out.
        """
        mine = 0

        def take(size: int) -> None:
            nonlocal mine
            if self._used + size > self._limit:
                raise overloaded("too many large pictures come at once", "overloaded", seconds=1)
            self._used, mine = self._used + size, mine + size

        try:
            yield take
        finally:
            self._used -= mine


async def read_body(
    request: Request, *, max_bytes: int, seconds: float, take: Callable[[int], None] = lambda _size: None
) -> bytes:
    """The whole body; `take(size)` is called for each part that came.

    Raises `HttpError` 413 from Content-Length before a byte is read, or as soon as more than `max_bytes` have
    come; 408 when it takes longer than `seconds`; 400 when it is empty; `ClientGoneError` when the client left.
    """
    exchange: Exchange = request.state.exchange
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        exchange.unread_body = True
        raise _too_large(f"{declared} bytes", max_bytes)
    try:
        async with asyncio.timeout(seconds):
            body = await _collect(request, exchange, max_bytes, take)
    except TimeoutError as error:
        exchange.unread_body = True
        raise HttpError(
            408,
            "slow_body",
            "the body did not arrive in time",
            allowed=f"the whole body within {seconds:g} s",
            fix="send it again over a faster connection, or send a smaller picture",
        ) from error
    if not body:
        raise HttpError(
            400, "empty_body", "the body is empty", allowed="the bytes of a picture", fix="send the picture as the body"
        )
    exchange.note(bytes_in=len(body))
    return body


async def _collect(request: Request, exchange: Exchange, max_bytes: int, take: Callable[[int], None]) -> bytes:
    chunks, size, more = [], 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > max_bytes:
            exchange.unread_body = more
            raise _too_large(f"more than {max_bytes} bytes", max_bytes)
        try:
            take(len(chunk))
        except HttpError:
            exchange.unread_body = more
            raise
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def unless_gone(request: Request, work: Awaitable[T], *, seconds: float | None = None) -> T:
    """The result of `work`, which is cancelled when the client leaves. To be used once the whole body was read.

    Raises `ClientGoneError`, and TimeoutError after `seconds`.
    """
    task, why = asyncio.current_task(), list[Exception]()
    assert task is not None  # noqa: S101 - a coroutine of a server runs in a task

    def stop(error: Exception) -> None:
        # As asyncio.timeout does it: what this task waits for is cancelled with it. A task of its own costs more.
        if not why:
            why.append(error)
            task.cancel()

    timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, stop, TimeoutError())
    forget = _watch(request, lambda: stop(ClientGoneError()))
    try:
        return await work
    except asyncio.CancelledError:
        if why and task.uncancel() == 0:
            raise why[0] from None
        raise  # somebody else cancels this task
    finally:
        forget()
        if timer is not None:
            timer.cancel()


def _watch(request: Request, leave: Callable[[], None]) -> Callable[[], object]:
    """Have `leave` called when the client leaves. Returns what ends that."""
    when_left = request.scope.get("extensions", {}).get(LEFT)
    if when_left is not None:
        when_left(leave)
        return lambda: when_left(None)
    # Any other server than ours.
    waiting = asyncio.create_task(_disconnected(request))
    waiting.add_done_callback(lambda waited: None if waited.cancelled() else leave())
    return waiting.cancel


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


def _too_large(got: str, max_bytes: int) -> HttpError:
    return HttpError(
        413,
        "body_too_large",
        "the body is too large",
        got=got,
        allowed=f"at most {max_bytes} bytes",
        fix="send a smaller picture",
    )
