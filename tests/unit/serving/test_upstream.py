from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from identity_masker.serving.upstream import Upstream, UpstreamError

OK = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\ncontent-length: 4\r\n\r\nDATA"
Script = Callable[[int, int], bytes | None]
"""(connection, request) → the bytes to answer, or None to close the connection without an answer."""


class ScriptedServer:
    """Speaks just enough HTTP to answer by script, and to misbehave."""

    def __init__(self, script: Script, *, close_after: bool = False) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self._script = script
        self._close_after = close_after

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection, request = self.connections, 0
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                answer = self._script(connection, request)
                request += 1
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()
                if self._close_after:
                    return
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()


@asynccontextmanager
async def upstream_to(server: ScriptedServer, **options: float) -> AsyncIterator[Upstream]:
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    upstream = Upstream(f"http://127.0.0.1:{port}", **options)  # type: ignore[arg-type]
    try:
        yield upstream
    finally:
        upstream.close()
        listener.close()


def go(body: Awaitable[None]) -> None:
    async def run() -> None:
        await asyncio.wait_for(body, 20)

    uvloop.run(run())  # what the gateway runs on


def test_connections_are_kept_and_the_request_arrives_as_sent() -> None:
    server = ScriptedServer(lambda _c, _r: OK)

    async def body() -> None:
        async with upstream_to(server) as upstream:
            for _ in range(3):
                reply = await upstream.post(b"/v1/mask?key=a", [(b"content-type", b"image/png")], b"abc", seconds=5)
                assert (reply.status, reply.headers[b"content-type"], reply.body) == (200, b"image/png", b"DATA")

    go(body())
    assert server.connections == 1
    head, _, content = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/mask?key=a HTTP/1.1\r\nhost: 127.0.0.1:")
    assert (b"content-length: 3" in head, content) == (True, b"abc")


def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    server = ScriptedServer(lambda _c, _r: OK)

    async def body() -> None:
        async with upstream_to(server) as upstream:
            await asyncio.gather(*(upstream.post(b"/", [], bytes([n]), seconds=5) for n in range(5)))
            assert upstream.in_flight == 0

    go(body())
    assert sorted(request[-1] for request in server.requests) == [0, 1, 2, 3, 4]


def test_chunked_answers_are_read_whole() -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nDA\r\n2\r\nTA\r\n0\r\n\r\n"

    async def body() -> None:
        async with upstream_to(ScriptedServer(lambda _c, _r: chunked)) as upstream:
            assert (await upstream.post(b"/", [], b"", seconds=5)).body == b"DATA"

    go(body())


def test_an_interim_answer_is_skipped() -> None:
    async def body() -> None:
        async with upstream_to(ScriptedServer(lambda _c, _r: b"HTTP/1.1 100 Continue\r\n\r\n" + OK)) as upstream:
            assert (await upstream.post(b"/", [], b"", seconds=5)).status == 200

    go(body())


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced() -> None:
    """The server closes the first connection instead of answering its second request, as after an idle timeout."""
    server = ScriptedServer(lambda connection, request: None if (connection, request) == (0, 1) else OK)

    async def body() -> None:
        async with upstream_to(server) as upstream:
            for _ in range(2):
                assert (await upstream.post(b"/", [], b"", seconds=5)).status == 200

    go(body())
    assert server.connections == 2


def test_connection_close_is_honoured() -> None:
    closing = OK.replace(b"content-length", b"connection: close\r\ncontent-length")
    server = ScriptedServer(lambda _c, _r: closing)

    async def body() -> None:
        async with upstream_to(server) as upstream:
            for _ in range(2):
                await upstream.post(b"/", [], b"", seconds=5)

    go(body())
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "closed the connection"),
        (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", "closed the connection"),
    ],
)
def test_a_broken_answer_is_an_error_that_was_sent(answer: bytes | None, reason: str) -> None:
    async def body() -> None:
        async with upstream_to(ScriptedServer(lambda _c, _r: answer, close_after=True)) as upstream:
            with pytest.raises(UpstreamError, match=reason) as caught:
                await upstream.post(b"/", [], b"", seconds=5)
            assert caught.value.sent

    go(body())


def test_an_answer_without_end_is_cut() -> None:
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n" + bytes(5000)

    async def body() -> None:
        async with upstream_to(ScriptedServer(lambda _c, _r: endless), max_answer_bytes=1000) as upstream:
            with pytest.raises(UpstreamError, match="too large"):
                await upstream.post(b"/", [], b"", seconds=5)

    go(body())


def test_no_listener_is_an_error_that_was_not_sent() -> None:
    async def body() -> None:
        async with upstream_to(ScriptedServer(lambda _c, _r: OK)) as upstream:
            pass
        with pytest.raises(UpstreamError) as caught:
            await upstream.post(b"/", [], b"", seconds=5)
        assert not caught.value.sent

    go(body())


def test_a_late_answer_never_meets_the_next_request() -> None:
    class Late(ScriptedServer):
        async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self.connections == 0:
                self.connections += 1
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(0.4)
                writer.write(OK.replace(b"DATA", b"LATE"))
                writer.close()
            else:
                await super().handle(reader, writer)

    async def body() -> None:
        async with upstream_to(Late(lambda _c, _r: OK)) as upstream:
            with pytest.raises(TimeoutError):
                await upstream.post(b"/", [], b"", seconds=0.2)
            await asyncio.sleep(0.4)
            assert (await upstream.post(b"/", [], b"", seconds=5)).body == b"DATA"

    go(body())
