from __future__ import annotations

import dataclasses
import io
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import numpy as np
import pytest
from fastapi import Request
from PIL import Image
from tests.unit.serving.support import NegativeMasker, eventually, noise, poisoned, running, served_model

from identity_masker.errors import MaskerError
from identity_masker.faces.decode import Limits, decode
from identity_masker.serving import bundle
from identity_masker.serving.guard import Guard
from identity_masker.serving.model import ServedModel
from identity_masker.serving.pictures import encode
from identity_masker.serving.problem import HttpError, Problem
from identity_masker.serving.server import ModelServer, ServerConfig
from identity_masker.telemetry import logs

SMALL = ServerConfig(capacity=4, body_seconds=1.0, answer_seconds=2.0, limits=Limits(max_bytes=200_000))
PNG = {"content-type": "image/png"}


@pytest.fixture
def masker() -> NegativeMasker:
    return NegativeMasker()


@pytest.fixture
def server(masker: NegativeMasker) -> Iterator[ModelServer]:
    made = ModelServer(SMALL)
    made.use(served_model(masker, "3"))
    masker.calls.clear()
    yield made
    masker.gate.set()
    made.close()


@pytest.fixture
def http(server: ModelServer) -> Iterator[httpx.Client]:
    with running(server.app) as url, httpx.Client(base_url=url, timeout=15) as client:
        yield client


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


def test_a_failing_model_is_500_and_says_nothing_about_itself(http: httpx.Client) -> None:
    answer = http.post("/v1/mask", content=encode(poisoned(), "PNG"), headers=PNG)
    problem(answer, 500, "masking_failed")
    assert "poison" not in answer.text
    assert http.post("/v1/mask", content=encode(noise(), "PNG"), headers=PNG).status_code == 200


def test_an_error_that_nobody_foresaw_is_500_that_says_nothing_and_the_log_has_it(
    server: ModelServer, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_content: bytes) -> object:
        raise RuntimeError("planted reason")

    stream = io.StringIO()
    logs.configure(level="INFO", correlation_id="", stream=stream, json_lines=True)
    monkeypatch.setattr(server.codec, "decode", broken)
    answer = http.post("/v1/mask", content=encode(noise(), "PNG"), headers=PNG)
    assert "planted" not in str(problem(answer, 500, "internal"))
    wait_for(lambda: '"event": "request"' in stream.getvalue())
    failed = next(line for line in map(json.loads, stream.getvalue().splitlines()) if line["event"] == "request_failed")
    assert failed["request_id"] == answer.headers["x-request-id"]
    assert "planted reason" in str(failed["exception"])


def test_a_full_server_is_503_with_retry_after_and_serves_those_it_took(
    http: httpx.Client, masker: NegativeMasker
) -> None:
    masker.gate.clear()
    content = encode(noise(), "PNG")

    def post() -> httpx.Response:
        return httpx.post(f"{http.base_url}/v1/mask", content=content, headers=PNG, timeout=15)

    with ThreadPoolExecutor(4) as pool:
        taken = [pool.submit(post) for _ in range(SMALL.capacity)]
        wait_for(lambda: samples(http, "masker_server_requests_in_flight").popitem()[1] >= 5)  # 4 and the scrape
        refused = post()
        masker.gate.set()
        assert [future.result().status_code for future in taken] == [200] * SMALL.capacity
    document = problem(refused, 503, "overloaded")
    assert document["retryable"] is True
    assert int(refused.headers["retry-after"]) >= 1
    name = 'masker_server_rejected_total{reason="overloaded"}'
    assert samples(http, name) == {name: 1.0}


@pytest.mark.parametrize("side", [32, 200], ids=["small", "larger than what a connection reads ahead"])
def test_a_client_that_leaves_is_not_worked_for(http: httpx.Client, masker: NegativeMasker, side: int) -> None:
    masker.gate.clear()
    content, given_up = encode(noise(), "PNG"), encode(noise(side), "PNG")
    occupied = threading.Thread(
        target=lambda: httpx.post(f"{http.base_url}/v1/mask?key=stays", content=content, headers=PNG, timeout=15)
    )
    occupied.start()
    wait_for(lambda: samples(http, "masker_server_requests_in_flight").popitem()[1] >= 2)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{http.base_url}/v1/mask?key=leaves", content=given_up, headers=PNG, timeout=0.4)
    wait_for(lambda: any('status="499"' in name for name in samples(http, "masker_server_requests_total")))
    masker.gate.set()
    occupied.join(10)
    http.post("/v1/mask?key=last", content=content, headers=PNG)
    assert [key for call in masker.calls for key in call] == ["stays", "last"]


def test_time_running_out_is_504(http: httpx.Client, masker: NegativeMasker) -> None:
    masker.gate.clear()
    problem(http.post("/v1/mask", content=encode(noise(), "PNG"), headers=PNG), 504, "deadline")


def ask(url: object, **headers: str) -> httpx.Response:
    given = {**PNG, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx.post(f"{url}/v1/mask", content=encode(noise(), "PNG"), headers=given, timeout=15)


def test_a_deadline_that_passes_while_the_picture_waits_is_504_and_the_model_never_sees_it(
    http: httpx.Client, masker: NegativeMasker
) -> None:
    masker.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, http.base_url, x_consistency_key="first")
        wait_for(lambda: samples(http, "masker_server_places_taken").popitem()[1] == 1)
        began = time.monotonic()
        late = ask(http.base_url, x_consistency_key="late", x_request_timeout="0.3")
        assert time.monotonic() - began < 1.5  # not the two seconds of the server's own limit
        masker.gate.set()
        assert first.result().status_code == 200
    problem(late, 504, "deadline")
    assert ask(http.base_url, x_consistency_key="last").status_code == 200
    assert [key for call in masker.calls for key in call] == ["first", "last"]
    name = 'masker_server_rejected_total{reason="deadline"}'
    assert samples(http, name) == {name: 1.0}


def test_a_deadline_that_cannot_be_met_is_refused_at_once() -> None:
    masker = NegativeMasker(seconds=0.25)
    server = ModelServer(ServerConfig(batch=1))
    server.use(served_model(masker))
    with running(server.app) as url, httpx.Client(base_url=url) as http, ThreadPoolExecutor(6) as pool:
        masker.calls.clear()
        short = ask(url, x_request_timeout="0.1")
        assert "at least 0.25" in str(problem(short, 504, "deadline_too_short")["detail"])
        waiting = [pool.submit(ask, url) for _ in range(5)]
        wait_for(lambda: samples(http, "masker_server_places_taken").popitem()[1] == 5)
        began = time.monotonic()
        unreachable = ask(url, x_request_timeout="0.5")
        assert time.monotonic() - began < 0.25
        problem(unreachable, 503, "deadline_unreachable")
        assert int(unreachable.headers["retry-after"]) >= 1
        assert [future.result().status_code for future in waiting] == [200] * 5
        assert ask(url, x_request_timeout="2").status_code == 200
        assert len(masker.calls) == 6
    server.close()


def test_a_guard_stands_before_every_route_also_before_those_that_fastapi_does_not_handle() -> None:
    class Closed(Guard):
        def __init__(self) -> None:
            pass

        async def __call__(self, request: Request) -> None:
            raise HttpError(401, "token_missing", "there is no token", fix="send one")

    masker = NegativeMasker()
    server = ModelServer(SMALL, Closed())
    server.use(served_model(masker))
    masker.calls.clear()
    with running(server.app) as url, httpx.Client(base_url=url) as http:
        paths = [("POST", "/v1/mask"), ("POST", "/v2/models/masker/infer"), ("GET", "/v2/models/masker")]
        for method, path in [*paths, ("POST", "/v2/models/masker/versions/1/infer"), ("GET", "/metrics")]:
            problem(http.request(method, path, headers=PNG), 401, "token_missing")
    assert not masker.calls
    server.close()


def test_strength_is_a_blend_with_the_picture(http: httpx.Client) -> None:
    before = noise()
    content = encode(before, "PNG")
    for query, headers, strength in (("?strength=0.25", {}, 0.25), ("?strength=1", {"x-masking-strength": "0"}, 0.0)):
        answer = http.post(f"/v1/mask{query}", content=content, headers={**PNG, **headers})
        wanted = before + (255.0 - 2.0 * before) * strength
        assert np.abs(decode(answer.content, Limits()) - wanted).max() <= 0.5
    for wrong in ("2", "-0.1", "nan", "strong", ""):
        problem(http.post(f"/v1/mask?strength={wrong}", content=content, headers=PNG), 422, "invalid_parameter")


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "soon", "4000"])
def test_a_timeout_that_is_no_number_of_seconds_is_refused(http: httpx.Client, timeout: str) -> None:
    assert "x-request-timeout" in str(problem(ask(http.base_url, x_request_timeout=timeout), 422, "invalid_parameter"))


def test_several_versions_are_held_and_the_first_is_the_default(
    http: httpx.Client, server: ModelServer, masker: NegativeMasker
) -> None:
    other = NegativeMasker()
    server.use(served_model(other, "4"))
    other.calls.clear()
    content = encode(noise(), "PNG")
    versions = ["", "?version=4", "?version=1.0.4", "?version=3"]
    answers = [http.post(f"/v1/mask{query}", content=content, headers=PNG) for query in versions]
    assert [answer.headers["x-model-version"] for answer in answers] == ["1.0.3", "1.0.4", "1.0.4", "1.0.3"]
    assert (len(masker.calls), len(other.calls)) == (2, 2)
    refused = problem(http.post("/v1/mask?version=5", content=content, headers=PNG), 404, "unknown_version")
    assert "3 (1.0.3), 4 (1.0.4)" in str(refused["detail"])
    assert http.get("/v2/models/masker").json()["versions"] == ["3", "4"]
    assert http.get("/v2/models/masker/versions/4/ready").status_code == 200


def test_a_version_that_takes_the_place_of_another_drops_no_request(server: ModelServer, http: httpx.Client) -> None:
    """Clients ask all the time while versions change; the old ones end when their last request is answered."""
    ended: list[str] = []
    stop = threading.Event()
    before = server.models.default.model

    def client(number: int) -> list[tuple[int, str]]:
        found = []
        while not stop.is_set():
            answer = ask(http.base_url, x_consistency_key=f"{number}")
            found.append((answer.status_code, answer.headers.get("x-model-version", "")))
        return found

    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(client, number) for number in range(3)]
        for version in ("4", "5", "6"):
            time.sleep(0.15)
            named = served_model(NegativeMasker(0.01), version)
            after = dataclasses.replace(named, close=lambda version=version: ended.append(version))
            server.use(after, instead_of=before)
            before = after
        time.sleep(0.15)
        stop.set()
        answers = [answer for each in clients for answer in each.result()]
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {"1.0.3", "1.0.4", "1.0.5", "1.0.6"}
    wait_for(lambda: ended == ["4", "5"])
    assert [held.model.version for held in server.models] == ["6"]


def test_loading_again_changes_to_what_a_reference_means_now_and_keeps_what_fails_to_load() -> None:
    found = [served_model(version="1"), served_model(version="1"), MaskerError("the registry is away")]
    found[1] = found[0]
    server = ModelServer(SMALL)

    def loader() -> ServedModel:
        now = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(now, MaskerError):
            raise now
        return now

    with running(server.app) as url:
        server.load(loader, failed=lambda: None)
        eventually(f"{url}/health/ready")
        first = server.models.default
        server.reload()
        wait_for(lambda: len(found) == 1)
        server.reload()
        assert ask(url).headers["x-model-version"] == "1.0.1"
        assert server.models.default is first
        found[0] = served_model(version="2")
        server.reload()
        wait_for(lambda: ask(url).headers["x-model-version"] == "1.0.2")
        server.close()


def bundle_of(http: httpx.Client, kind: str, entries: dict[str, bytes], **headers: str) -> httpx.Response:
    content = bundle.pack(kind, [bundle.Entry(*entry) for entry in entries.items()])
    return http.post("/v1/mask?key=k", content=content, headers={"content-type": kind, **headers})


def test_an_archive_comes_back_as_one_and_a_bad_picture_fails_alone(http: httpx.Client) -> None:
    files = {
        "a.png": encode(noise(24), "PNG"), "in/b.png": encode(noise(40, 1), "PNG"), "bad.png": b"nonsense",
        "poison.png": encode(poisoned(), "PNG"),
    }  # fmt: skip
    for kind in (bundle.ZIP, bundle.TAR):
        answer = bundle_of(http, kind, files)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert (answer.headers["x-masked"], answer.headers["x-failed"]) == ("2", "2")
        got = dict(bundle.unpack(kind, answer.content, bundle.BundleLimits(9, 1 << 20, 1 << 20)))
        assert list(got) == ["a.png", "in/b.png", "bad.png.problem.json", "poison.png.problem.json"]
        assert np.array_equal(decode(got["a.png"], Limits()), 255 - noise(24))
        assert np.array_equal(decode(got["in/b.png"], Limits()), 255 - noise(40, 1))
        told = Problem.model_validate_json(got["bad.png.problem.json"])
        assert (told.status, told.reason, told.request_id) == (422, "not_an_image", answer.headers["x-request-id"])
        assert Problem.model_validate_json(got["poison.png.problem.json"]).reason == "masking_failed"


def test_a_form_with_several_pictures_comes_back_as_a_zip_in_the_format_that_is_asked_for(http: httpx.Client) -> None:
    files = [("faces", (f"{n}.png", encode(noise(seed=n), "PNG"), "image/png")) for n in range(3)]
    answer = http.post("/v1/mask", files=files, headers={"accept": "image/webp"})
    got = bundle.unpack(bundle.ZIP, answer.content, bundle.BundleLimits(9, 1 << 20, 1 << 20))
    assert [entry.name for entry in got] == ["0.webp", "1.webp", "2.webp"]
    assert all(entry.content[8:12] == b"WEBP" for entry in got)


def test_a_bundle_without_one_picture_is_an_error_that_says_why(http: httpx.Client) -> None:
    answer = bundle_of(http, bundle.ZIP, {"a.txt": b"words", "b.png": encode(noise(8), "PNG")})
    assert "not_an_image: 1, too_small: 1" in str(problem(answer, 422, "nothing_masked")["detail"])
    problem(http.post("/v1/mask", content=b"PK", headers={"content-type": bundle.ZIP}), 422, "bundle_unreadable")
    broken = {"content-type": "multipart/form-data; boundary=x"}
    problem(http.post("/v1/mask", content=b"--y\r\n", headers=broken), 422, "bundle_unreadable")
    nameless = {"content-type": "multipart/form-data"}
    problem(http.post("/v1/mask", content=b"x", headers=nameless), 422, "bundle_unreadable")


def test_bodies_take_no_more_memory_together_than_allowed() -> None:
    """Clients that announce large bodies and never send them hold a place until their time is over."""
    limits = Limits(max_bytes=200_000)
    server = ModelServer(ServerConfig(body_bytes=300_000, body_seconds=2.0, limits=limits))
    server.use(served_model())
    with running(server.app) as url:
        host, port = httpx.URL(url).host, httpx.URL(url).port
        head = b"POST /v1/mask HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: 190000\r\n\r\n"
        with closing(socket.create_connection((host, port), timeout=8)) as one:
            one.sendall(head)
            with httpx.Client(base_url=url) as http:
                wait_for(lambda: samples(http, "masker_server_places_taken").popitem()[1] == 1)
            with closing(socket.create_connection((host, port), timeout=8)) as two:
                two.sendall(head)
                assert two.recv(65536).startswith(b"HTTP/1.1 503 ")
            assert ask(url).status_code == 200  # there is still room for a small one
    server.close()


def test_ready_says_no_while_loading_and_while_draining() -> None:
    server = ModelServer(SMALL)
    with running(server.app) as url, httpx.Client(base_url=url) as http:
        assert http.get("/health/live").status_code == 200
        assert problem(http.get("/health/ready"), 503, "not_ready_loading")["retryable"] is True
        answer = http.post("/v1/mask", content=encode(noise(), "PNG"), headers=PNG)
        problem(answer, 503, "not_ready")
        assert answer.headers["retry-after"]
        server.load(served_model, failed=lambda: None)
        assert eventually(f"{url}/health/ready").json() == {"status": "ready", "model_version": "1.0.1"}
        server.drain()
        problem(http.get("/health/ready"), 503, "not_ready_draining")
        still = http.post("/v1/mask", content=encode(noise(), "PNG"), headers=PNG)
        assert (still.status_code, still.headers["connection"]) == (200, "close")
        server.close()


def test_a_model_that_does_not_mask_is_not_served() -> None:
    class Identity(NegativeMasker):
        def mask(self, images: np.ndarray, keys: object) -> np.ndarray:  # type: ignore[type-arg]
            return images.copy()

    failed = threading.Event()
    server = ModelServer(SMALL)
    server.load(lambda: served_model(Identity()), failed=failed.set)
    assert failed.wait(5)
    assert isinstance(server.failure, MaskerError)
    with running(server.app) as url:
        problem(httpx.get(f"{url}/health/ready"), 503, "not_ready_failed")


def test_unknown_paths_and_methods_are_problems_too(http: httpx.Client) -> None:
    problem(http.get("/nope/secret"), 404, "not_found")
    answer = http.get("/v1/mask")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_every_response_has_the_security_headers_and_no_cors(http: httpx.Client) -> None:
    for answer in (
        http.get("/health/ready", headers={"origin": "https://evil.example"}),
        http.post("/v1/mask", content=b"", headers={**PNG, "origin": "https://evil.example"}),
        http.options("/v1/mask", headers={"origin": "https://e.x", "access-control-request-method": "POST"}),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "server" not in answer.headers


def test_metrics_count_requests_by_route_template_and_status(http: httpx.Client) -> None:
    http.post("/v1/mask?key=alice", content=encode(noise(), "PNG"), headers=PNG)
    http.post("/v1/mask", content=b"", headers=PNG)
    http.get("/some/alice/path")
    text = http.get("/metrics").text
    assert 'masker_server_requests_total{route="/v1/mask",status="200"} 1.0' in text
    assert 'masker_server_requests_total{route="/v1/mask",status="400"} 1.0' in text
    assert 'masker_server_requests_total{route="unmatched",status="404"} 1.0' in text
    assert f'masker_model_info{{semver="1.0.3",sha256="{"0" * 64}",version="3"}} 1.0' in text
    assert "masker_server_batch_size_count 1.0" in text
    assert "alice" not in text


def test_the_description_of_the_api_is_whole_and_the_docs_need_no_other_site(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    mask = document["paths"]["/v1/mask"]["post"]
    pictures, bundles = {"image/png", "image/jpeg", "image/webp"}, {*bundle.KINDS}
    assert set(mask["requestBody"]["content"]) == pictures | bundles
    assert set(mask["responses"]) == {"200", "400", "404", "408", "413", "415", "422", "500", "503", "504"}
    assert set(mask["responses"]["422"]["content"]) == {"application/problem+json"}
    assert {p["name"] for p in mask["parameters"]} == {
        "key", "x-consistency-key", "strength", "x-masking-strength", "version", "x-request-timeout",
    }  # fmt: skip
    for status in ("400", "408", "413", "415", "422", "500", "503", "504"):
        example = Problem.model_validate(mask["responses"][status]["content"]["application/problem+json"]["example"])
        assert example.status == int(status)
    page = http.get("/docs")
    assert "http" not in re.sub(r"<!--.*?-->", "", page.text)
    for source in re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text):
        assert http.get(f"/{source}").status_code == 200


def test_the_log_names_the_request_but_nothing_of_its_content(http: httpx.Client, masker: NegativeMasker) -> None:
    stream = io.StringIO()
    logs.configure(level="DEBUG", correlation_id="", stream=stream, json_lines=True)
    secrets = {"x-consistency-key": "planted-key", "authorization": "Bearer planted-token"}
    content = encode(noise(), "PNG")
    http.post("/v1/mask?key=planted-query", content=content, headers={**PNG, **secrets, "x-request-id": "good"})
    http.post("/v1/mask", content=encode(poisoned(), "PNG"), headers={**PNG, **secrets, "x-request-id": "bad"})
    http.post("/v1/mask/planted-path", content=content, headers={**PNG, **secrets})
    wait_for(lambda: "unmatched" in stream.getvalue())
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    requests = {line["request_id"]: line for line in lines if line["event"] == "request"}
    assert requests["good"]["status"] == 200
    assert requests["good"]["model_version"] == "1.0.3"
    assert requests["bad"]["reason"] == "masking_failed"
    assert [line["request_id"] for line in lines if line["event"] == "masking_failed"] == ["bad"]
    assert "planted" not in stream.getvalue()


def test_a_loader_that_fails_ends_as_a_failure_and_not_ready() -> None:
    def loader() -> ServedModel:
        raise MaskerError("no such model")

    failed = threading.Event()
    server = ModelServer(SMALL)
    server.load(loader, failed=failed.set)
    assert failed.wait(5)
    assert str(server.failure) == "no such model."


def wait_for(true: Callable[[], bool], seconds: float = 8.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
