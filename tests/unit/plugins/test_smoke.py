from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from airflow.sdk.exceptions import AirflowException
from PIL import Image

import masker_smoke

MASKED = b"another picture"


class Gateway(BaseHTTPRequestHandler):
    """Answers the first request with `answers[0]`, the next with `answers[1]` …, the last one again and again."""

    answers: ClassVar[list[tuple[int, str, str, bytes]]] = []

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["content-length"]))
        status, kind, version, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("x-model-version", version)
        self.send_header("x-request-id", "r-1")
        self.end_headers()
        self.wfile.write(sent if body == b"same" else body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connection = {"conn_type": "http", "host": "127.0.0.1", "schema": "http", "port": server.server_port}
    monkeypatch.setenv("AIRFLOW_CONN_MASKER_GATEWAY", json.dumps(connection))
    monkeypatch.setattr(masker_smoke, "PATIENCE_S", 0.5)
    monkeypatch.setattr(masker_smoke, "PAUSE_S", 0.05)
    yield f"http://127.0.0.1:{server.server_port}/v1/mask"
    server.shutdown()
    server.server_close()


def smoke() -> dict[str, str]:
    return masker_smoke.masks_a_picture(connection="masker_gateway", version="1.1.0")


def test_waits_for_the_deployed_version(url: str) -> None:
    Gateway.answers = [
        (503, "application/problem+json", "", b"{}"),
        (200, "image/png", "1.0.0", MASKED),
        (200, "image/png", "1.1.0", MASKED),
    ]
    assert smoke() == {"url": url, "version": "1.1.0", "request_id": "r-1"}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, "image/png", "1.0.0", MASKED), r"still version 1\.0\.0"),
        ((500, "text/plain", "1.1.0", b"out of memory"), "status 500: out of memory"),
        ((200, "text/html", "1.1.0", MASKED), "content type text/html"),
        ((200, "image/png", "1.1.0", b"same"), "came back unchanged"),
    ],
)
@pytest.mark.usefixtures("url")
def test_gives_up_and_says_what_it_saw(answer: tuple[int, str, str, bytes], words: str) -> None:
    Gateway.answers = [answer]
    with pytest.raises(AirflowException, match=words):
        smoke()


def test_gateway_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MASKER_GATEWAY", "http://127.0.0.1:1")
    with pytest.raises(AirflowException, match=r"http://127\.0\.0\.1:1/v1/mask does not mask.*ConnectError"):
        smoke()


def test_picture_is_a_valid_png() -> None:
    picture = Image.open(io.BytesIO(masker_smoke.picture(48)))
    assert picture.size == (48, 48)
    assert len(set(picture.get_flattened_data())) > 100


def test_a_gateway_that_asks_for_a_token_gets_the_password_of_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    document = {
        "conn_type": "http", "host": "gateway", "port": 8000, "password": "secret", "extra": {"operations_port": 8001},
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_MASKER_GATEWAY", json.dumps(document))
    connection = masker_smoke.Connection.get("masker_gateway")
    assert masker_smoke.bearer(connection) == {"authorization": "Bearer secret"}
    assert masker_smoke.address(connection) == "http://gateway:8000"
    assert masker_smoke.address(connection, "operations_port") == "http://gateway:8001"
    monkeypatch.setenv("AIRFLOW_CONN_MASKER_GATEWAY", json.dumps({"conn_type": "http", "host": "gateway"}))
    connection = masker_smoke.Connection.get("masker_gateway")
    assert (masker_smoke.bearer(connection), masker_smoke.address(connection, "operations_port")) == (
        {},
        "http://gateway",
    )
