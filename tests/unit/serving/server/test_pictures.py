"""What `POST /v1/mask` takes, and what it refuses before the model sees it."""

from __future__ import annotations

import io
import re
import socket
from collections.abc import Iterator
from contextlib import closing

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.unit.serving.server.asking import PNG, SMALL, problem
from tests.unit.serving.support import NegativeMasker, noise, running, served_model

from identity_masker.faces.decode import Limits, decode
from identity_masker.serving.pictures import encode
from identity_masker.serving.server import ModelServer


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP"])
def test_a_picture_comes_back_masked_in_its_own_format(http: httpx.Client, name: str) -> None:
    before = noise(48)
    media = f"image/{name.lower()}"
    answer = http.post("/v1/mask", content=encode(before, name), headers={"content-type": media})
    assert (answer.status_code, answer.headers["content-type"]) == (200, media)
    assert answer.headers["x-model-version"] == "1.0.3"
    assert answer.headers["vary"] == "accept"
    after = decode(answer.content, Limits())
    assert after.shape == before.shape
    if name == "PNG":
        assert np.array_equal(after, 255 - before)


def test_accept_chooses_another_format(http: httpx.Client) -> None:
    answer = http.post("/v1/mask", content=encode(noise(), "PNG"), headers={**PNG, "accept": "image/webp"})
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.format == "WEBP"


def test_the_content_says_the_format_not_its_label(http: httpx.Client) -> None:
    answer = http.post("/v1/mask", content=encode(noise(), "JPEG"), headers=PNG)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")


def test_the_key_is_taken_from_header_or_query_and_is_else_new(http: httpx.Client, masker: NegativeMasker) -> None:
    content = encode(noise(), "PNG")
    http.post("/v1/mask?key=from-query", content=content, headers=PNG)
    http.post("/v1/mask?key=loses", content=content, headers={**PNG, "x-consistency-key": "from-header"})
    http.post("/v1/mask", content=content, headers=PNG)
    http.post("/v1/mask", content=content, headers=PNG)
    keys = [key for call in masker.calls for key in call]
    assert keys[:2] == ["from-query", "from-header"]
    assert len(set(keys)) == 4


def test_a_key_that_is_too_long_is_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/mask", params={"key": "x" * 257}, content=b"x", headers=PNG)
    assert "query.key" in str(problem(answer, 422, "invalid_parameter")["detail"])


def test_a_well_formed_request_id_is_kept(http: httpx.Client) -> None:
    assert http.get("/health/live", headers={"x-request-id": "abc-1.2_X"}).headers["x-request-id"] == "abc-1.2_X"


@pytest.mark.parametrize("sent", ["a b", "x" * 65, "ü", "a;b", ""])
def test_a_malformed_request_id_is_replaced(http: httpx.Client, sent: str) -> None:
    got = http.get("/health/live", headers={"x-request-id": sent.encode()}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", got)


def test_an_empty_body_is_400(http: httpx.Client) -> None:
    problem(http.post("/v1/mask", content=b"", headers=PNG), 400, "empty_body")


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}])
def test_another_content_type_is_415(http: httpx.Client, headers: dict[str, str]) -> None:
    answer = http.post("/v1/mask", content=b"{}", headers=headers)
    problem(answer, 415, "unsupported_media_type")
    assert answer.headers["accept"] == "image/png, image/jpeg, image/webp"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not a picture at all", "not_an_image"),
        (encode(noise(), "PNG")[:-100], "truncated"),
        (encode(noise(8), "PNG"), "too_small"),
        (b"GIF89a" + bytes(100), "unsupported_format"),
    ],
)
def test_what_cannot_be_decoded_is_422_with_the_reason(http: httpx.Client, content: bytes, reason: str) -> None:
    assert problem(http.post("/v1/mask", content=content, headers=PNG), 422, reason)["retryable"] is False


def test_a_picture_that_takes_too_long_to_decode_is_422_and_never_reaches_the_model(masker: NegativeMasker) -> None:
    server = ModelServer(SMALL.model_copy(update={"limits": Limits(decode_seconds=0.001)}))
    server.use(served_model(masker))
    masker.calls.clear()
    try:
        with running(server.app) as url:
            answer = httpx.post(f"{url}/v1/mask", content=encode(noise(600), "PNG"), headers=PNG, timeout=15)
            problem(answer, 422, "too_slow")
            assert masker.calls == []
            assert httpx.post(f"{url}/v1/mask", content=encode(noise(32), "PNG"), headers=PNG).status_code == 200
    finally:
        server.close()


def test_a_large_body_is_refused_by_its_length_before_it_is_read(http: httpx.Client) -> None:
    """The client asks first (Expect: 100-continue) and must be refused without being told to go on."""
    host, port = http.base_url.host, http.base_url.port
    with closing(socket.create_connection((host, port), timeout=5)) as raw:
        raw.sendall(
            b"POST /v1/mask HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\n"
            b"content-length: 999999999\r\nexpect: 100-continue\r\n\r\n"
        )
        answer = raw.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer
    assert b"body_too_large" in answer


def test_a_large_body_sent_in_chunks_is_refused_while_it_streams(http: httpx.Client) -> None:
    sent = []

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            sent.append(1)
            yield bytes(10_000)

    problem(http.post("/v1/mask", content=chunks(), headers=PNG), 413, "body_too_large")


def test_a_body_that_does_not_arrive_is_408(http: httpx.Client) -> None:
    host, port = http.base_url.host, http.base_url.port
    with closing(socket.create_connection((host, port), timeout=8)) as raw:
        raw.sendall(b"POST /v1/mask HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: 100\r\n\r\nabc")
        assert raw.recv(65536).startswith(b"HTTP/1.1 408 ")


def test_strength_is_a_blend_with_the_picture(http: httpx.Client) -> None:
    before = noise()
    content = encode(before, "PNG")
    for query, headers, strength in (("?strength=0.25", {}, 0.25), ("?strength=1", {"x-masking-strength": "0"}, 0.0)):
        answer = http.post(f"/v1/mask{query}", content=content, headers={**PNG, **headers})
        wanted = before + (255.0 - 2.0 * before) * strength
        assert np.abs(decode(answer.content, Limits()) - wanted).max() <= 0.5
    for wrong in ("2", "-0.1", "nan", "strong", ""):
        problem(http.post(f"/v1/mask?strength={wrong}", content=content, headers=PNG), 422, "invalid_parameter")
