from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx
import pytest
from tests.unit.serving.support import noise, running, served_model

from identity_masker.serving.patient_protocol import PatientProtocol
from identity_masker.serving.pictures import encode
from identity_masker.serving.server import ModelServer, ServerConfig

HEAD = b"GET /health/live HTTP/1.1\r\nhost: x\r\n"


@pytest.fixture
def url() -> Iterator[str]:
    server = ModelServer(ServerConfig())
    server.use(served_model())
    with running(server.app) as base:
        yield base
    server.close()


def connected(url: str, sent: bytes) -> socket.socket:
    parts = httpx.URL(url)
    made = socket.create_connection((parts.host, parts.port or 80), timeout=20)
    made.sendall(sent)
    return made


@pytest.mark.parametrize("sent", [b"", b"GET /health", HEAD])
def test_a_connection_whose_request_does_not_come_is_closed(
    url: str, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PatientProtocol, "head_seconds", 0.3)
    with closing(connected(url, sent)) as connection:
        assert connection.recv(1) == b""


def test_a_connection_that_is_used_again_and_again_stays(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PatientProtocol, "head_seconds", 0.3)
    with closing(connected(url, HEAD + b"\r\n")) as connection:
        for _ in range(4):
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.2)
            connection.sendall(HEAD + b"\r\n")


def test_thousands_of_idle_connections_keep_nobody_from_being_served(url: str) -> None:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10_000, (allowed - 500) // 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(closing(connected(url, b"")))
        answer = httpx.post(
            f"{url}/v1/mask", content=encode(noise(), "PNG"), headers={"content-type": "image/png"}, timeout=30
        )
        assert answer.status_code == 200
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 40 * count  # KiB; client's and server's end of each are in this process
