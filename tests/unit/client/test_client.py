from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.serving.support import noise

from identity_masker.client import (
    AsyncMaskerClient,
    Masked,
    MaskerClient,
    Outcome,
    RefusedError,
    Retries,
    UnavailableError,
)
from identity_masker.client.retries import RETRYABLE, retry_after
from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.serving.pictures import encode

PICTURE = encode(noise(), "PNG")
FAST = Retries(first_pause=0.0, longest_pause=0.0)
FULL = {"reason": "overloaded", "detail": "the server is full.", "fix": "try again in 1 s", "request_id": "r"}
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Script(ThreadingHTTPServer):
    """Answers with what it is told, in order, and keeps what it was asked."""

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Script
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        status, headers, content = self.server.answers.pop(0)
        if status == 0:  # the connection breaks
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[Script]:
    server = Script(*answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ok() -> tuple[int, dict[str, str], bytes]:
    headers = {"content-type": "image/png", "x-request-id": "r1", "x-model-version": "1.0.0", "x-variant": "champion"}
    return 200, headers, b"masked"


def full(after: str = "0") -> tuple[int, dict[str, str], bytes]:
    return 503, {"retry-after": after, "x-request-id": "r1"}, json.dumps(FULL).encode()


def both(server: Script, **options: Any) -> list[Masked]:
    """The same call by the blocking client and by that of asyncio."""

    async def masked() -> Masked:
        async with AsyncMaskerClient(server.url, token="t0ken", retries=FAST) as client:
            return await client.mask(PICTURE, **options)

    with MaskerClient(server.url, token="t0ken", retries=FAST) as client:
        first = client.mask(PICTURE, **options)
    return [first, asyncio.run(masked())]


def test_a_picture_comes_back_with_what_is_known_of_it() -> None:
    with served(ok(), ok()) as server:
        found = both(server, key="visit", accept="image/webp", user="ada", attributes={"device": "phone"}, consent=True)
    assert found == [Masked(b"masked", "image/png", "r1", "1.0.0", "champion")] * 2
    for path, headers, body in server.asked:
        assert (path, body) == ("/v1/mask", PICTURE)
        expected = {
            "content-type": "image/png", "x-consistency-key": "visit", "accept": "image/webp", "x-user-id": "ada",
            "x-user-attributes": '{"device": "phone"}', "authorization": "Bearer t0ken",
            "x-sample-consent": "yes",
        }  # fmt: skip
        assert expected.items() <= headers.items()


def test_without_a_word_there_is_no_consent() -> None:
    with served(ok(), ok()) as server:
        both(server)
    assert not any("x-sample-consent" in headers for _, headers, _ in server.asked)


def test_it_tries_again_under_the_same_request_id_when_the_server_says_later_or_the_connection_breaks() -> None:
    script = [full(), (0, {}, b""), ok()]
    with served(*script, *script) as server:
        assert [each.content for each in both(server)] == [b"masked"] * 2
    ids = [headers["x-request-id"] for _, headers, _ in server.asked]
    assert [len(set(ids[:3])), len(set(ids[3:])), len(set(ids))] == [1, 1, 2]


def test_it_does_not_try_again_what_will_be_refused_again() -> None:
    refusal = {**FULL, "reason": "truncated", "detail": "the picture ends too early."}
    with served((422, {"x-request-id": "r9"}, json.dumps(refusal).encode())) as server:
        with (
            MaskerClient(server.url, retries=FAST) as client,
            pytest.raises(RefusedError, match="ends too early") as told,
        ):
            client.mask(PICTURE)
        assert len(server.asked) == 1
    assert isinstance(told.value, BadInputError)
    assert (told.value.problem.status, told.value.problem.request_id) == (422, "r9")


def test_it_gives_up_with_the_servers_words_when_the_tries_are_used_up() -> None:
    with served(*[full()] * 4) as server:
        with (
            MaskerClient(server.url, retries=FAST) as client,
            pytest.raises(UnavailableError, match="server is full") as told,
        ):
            client.mask(PICTURE)
        assert len(server.asked) == 4
    assert isinstance(told.value, TemporaryError)


def test_a_wait_longer_than_the_deadline_is_not_begun() -> None:
    with served(full("3600")) as server:
        with MaskerClient(server.url) as client, pytest.raises(UnavailableError):
            client.mask(PICTURE)
        assert len(server.asked) == 1


def test_nobody_there_is_said_so() -> None:
    with served() as server:
        pass
    with MaskerClient(server.url, retries=FAST) as client:
        assert not client.ready()
        with pytest.raises(UnavailableError, match=r"no answer came in 4 tries.*check the address"):
            client.mask(PICTURE)


def test_an_answer_of_a_proxy_becomes_a_problem_too() -> None:
    script = [(502, {}, b"<html>Bad gateway</html>")] * 4
    with (
        served(*script) as server,
        MaskerClient(server.url, retries=FAST) as client,
        pytest.raises(UnavailableError, match="502") as told,
    ):
        client.mask(PICTURE)
    assert told.value.problem.reason == "no_problem_document"


def test_what_is_no_picture_is_not_sent() -> None:
    with MaskerClient("http://127.0.0.1:1") as client, pytest.raises(BadInputError, match="PNG, JPEG or WebP"):
        client.mask(b"GIF89a")


def test_an_outcome_keeps_its_id_over_all_tries() -> None:
    answer = (200, {"content-type": "application/json"}, b'{"accepted": 1}')
    with served(full(), answer) as server, MaskerClient(server.url, retries=FAST) as client:
        assert client.tell("ada", [Outcome("kept")]) == 1
    first, second = (json.loads(body)["events"] for _, _, body in server.asked)
    assert first == second
    assert first[0]["event_id"]


@given(tried=st.integers(1, 30), status=st.integers(400, 599), elapsed=st.floats(0, 200), tries=st.integers(1, 20))
def test_pauses_keep_to_their_bounds(tried: int, status: int, elapsed: float, tries: int) -> None:
    found = Retries(tries=tries).pause(tried, httpx.Response(status), elapsed=elapsed)
    if status not in RETRYABLE or tried >= tries or elapsed >= 60.0:
        assert found is None
    elif found is not None:
        assert 0.0 <= found <= 10.0
        assert elapsed + found < 60.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("-1", None),
        ("soon", None),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_breaks_the_client(header: str) -> None:
    found = retry_after(header, NOW)
    assert found is None or found >= 0.0
