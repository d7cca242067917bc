"""Connections that ask for nothing, too slowly, too much or in another language, against a real server."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.unit.serving.support import eventually, noise, running, served_model

from identity_masker.errors import BadInputError
from identity_masker.serving.connections import Bounds
from identity_masker.serving.pictures import encode
from identity_masker.serving.process import tls
from identity_masker.serving.server import ModelServer, ServerConfig

BOUNDS = Bounds(connections=3, head_seconds=0.4, head_bytes=4096)
IDLE = 10_000
PICTURE = encode(noise(), "PNG")
PNG = {"content-type": "image/png"}


@contextlib.contextmanager
def served(bounds: Bounds = BOUNDS, **options: object) -> Iterator[str]:
    server = ModelServer(ServerConfig(body_seconds=0.5))
    server.use(served_model())
    with running(server.app, bounds, **options) as base:  # type: ignore[arg-type]
        yield base
    server.close()


def connected(base: str) -> socket.socket:
    url = httpx.URL(base)
    return socket.create_connection((url.host, url.port or 80), timeout=5)


def said(connection: socket.socket) -> bytes:
    """What the server says until it closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            found += chunk
    return found


def test_who_says_nothing_or_stops_within_the_headers_is_let_go() -> None:
    with served() as base, connected(base) as silent, connected(base) as slow, connected(base) as second:
        slow.sendall(b"POST /v1/mask HTTP/1.1\r\nx-slow: ")
        second.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(0.2)
        assert second.recv(65536).startswith(b"HTTP/1.1 200")
        second.sendall(b"GET /health")  # on a connection that was good once
        began = time.monotonic()
        assert said(silent) == b""
        for connection in (slow, second):
            head, _, body = said(connection).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 408 ")
            assert b"x-request-id: " in head
            assert json.loads(body)["reason"] == "slow_headers"
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("part", ["headers", "trailers"])
def test_headers_without_end_are_cut_off(part: str) -> None:
    start = b"POST /v1/mask HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\n"
    if part == "trailers":
        start += b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    with served() as base, connected(base) as endless:
        endless.sendall(start + b"x-much: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 50 << 20:
                sent += endless.send(bytes(b"y" * 1024))
                time.sleep(0.0005)
        assert sent < 10 << 20
        if part == "headers":
            assert b"HTTP/1.1 431 " in said(endless)


def test_a_connection_too_many_is_told_to_come_back_and_finds_room_later() -> None:
    with served(BOUNDS._replace(head_seconds=5)) as base, contextlib.ExitStack() as stack:
        held = [stack.enter_context(connected(base)) for _ in range(3)]
        time.sleep(0.1)
        answer = httpx.get(f"{base}/health/live")
        assert (answer.status_code, answer.json()["reason"]) == (503, "connections")
        assert answer.headers["retry-after"]
        held[0].close()
        eventually(f"{base}/health/live")


def test_what_is_not_http_gets_a_problem_with_a_request_id() -> None:
    with served() as base, connected(base) as other:
        other.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello in TLS\r\n\r\n")
        answer = said(other)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"x-content-type-options: nosniff" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["reason"] == "not_http"


def test_headers_cannot_be_smuggled_into_an_answer() -> None:
    with served(Bounds()) as base, connected(base) as raw:
        raw.sendall(
            b"GET /health/live?x=%0d%0aset-cookie:%20a=b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
            b"x-request-id: a%0d%0aevil: 1\r\ntraceparent: 00-x\r\n\r\n"
        )
        answer = said(raw).lower()
    assert answer.startswith(b"http/1.1 200")
    assert b"set-cookie" not in answer
    assert b"evil" not in answer


@pytest.mark.parametrize(
    "framing", ["content-length: 5\r\ncontent-length: 6", "content-length: 5\r\ntransfer-encoding: chunked"]
)
def test_a_request_that_could_be_read_in_two_ways_is_refused(framing: str) -> None:
    with served() as base, connected(base) as raw:
        raw.sendall(f"POST /v1/mask HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n0\r\n\r\n".encode())
        assert said(raw).startswith(b"HTTP/1.1 400 ")


@contextlib.contextmanager
def gateway(home: Path) -> Iterator[tuple[int, str]]:
    words = [sys.executable, "-m", "identity_masker.cli", "gateway", "--port", "0", "--drain-seconds", "0", "--json"]
    environment = {**os.environ, "MASKER_HOME": str(home), "MASKER_EXAMINER": ""}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield process.pid, json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_ten_thousand_idle_connections_cost_little_and_keep_nobody_out(tmp_path: Path) -> None:
    with gateway(tmp_path) as (pid, base), contextlib.ExitStack() as stack:
        eventually(f"{base}/health/live", seconds=60)
        before = resident_mib(pid)
        for _ in range(IDLE):
            stack.callback(connected(base).close)
        answer = httpx.post(f"{base}/v1/mask", content=PICTURE, headers=PNG, timeout=30)
        assert answer.json()["reason"] == "no_model"
        assert resident_mib(pid) - before < 200


def certificate(folder: Path) -> tuple[Path, Path]:
    """One for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, private, plain))
    return files


def test_with_a_certificate_it_speaks_tls_and_says_that_it_always_will(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    with served(Bounds(), tls=tls(*files)) as base:
        trusted = ssl.create_default_context(cafile=str(files[0]))
        with httpx.Client(base_url=base, verify=trusted) as http:
            answer = http.post("/v1/mask", content=PICTURE, headers=PNG)
            assert answer.status_code == 200
            assert "max-age" in answer.headers["strict-transport-security"]
        old = ssl.create_default_context(cafile=str(files[0]))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        assert httpx.get(f"{base}/health/live", verify=old).status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(base.replace("https", "http") + "/health/live")


def test_a_certificate_without_its_key_or_that_is_none_stops_the_start(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    assert tls(None, None) is None
    for pair in ((files[0], None), (files[1], files[1]), (tmp_path / "missing", files[1])):
        with pytest.raises(BadInputError, match="MASKER_TLS_CERTIFICATE"):
            tls(*pair)
