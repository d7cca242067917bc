"""What the tests of a model server ask it, and what its answers say."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
from tests.unit.serving.support import noise

from identity_masker.faces.decode import Limits
from identity_masker.serving.pictures import encode
from identity_masker.serving.server import ServerConfig

SMALL = ServerConfig(capacity=4, body_seconds=1.0, answer_seconds=2.0, limits=Limits(max_bytes=200_000))
PNG = {"content-type": "image/png"}


def ask(url: object, **headers: str) -> httpx.Response:
    given = {**PNG, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx.post(f"{url}/v1/mask", content=encode(noise(), "PNG"), headers=given, timeout=15)


def problem(answer: httpx.Response, status: int, reason: str) -> dict[str, object]:
    document: dict[str, object] = answer.json()
    assert (answer.status_code, document["reason"]) == (status, reason), document
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == status
    assert document["request_id"] == answer.headers["x-request-id"]
    assert document["fix"]
    assert document["error"] == document["detail"]
    return document


def samples(http: httpx.Client, name: str) -> dict[str, float]:
    lines = [line for line in http.get("/metrics").text.splitlines() if line.startswith(name)]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def wait_for(true: Callable[[], bool], seconds: float = 8.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
