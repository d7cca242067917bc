"""What clients are told when the server is full, late or broken."""

from __future__ import annotations

import io
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest
from tests.unit.serving.server.asking import PNG, SMALL, ask, problem, samples, wait_for
from tests.unit.serving.support import NegativeMasker, noise, poisoned, running, served_model

from identity_masker.faces.decode import Limits
from identity_masker.serving.pictures import encode
from identity_masker.serving.server import ModelServer, ServerConfig
from identity_masker.telemetry import logs


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


def test_a_deadline_that_passes_while_the_picture_waits_is_504_and_the_model_never_sees_it(
    http: httpx.Client, masker: NegativeMasker
) -> None:
    masker.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, http.base_url, x_consistency_key="first")
        wait_for(lambda: samples(http, "masker_server_places_taken").popitem()[1] == 1)
        late = ask(http.base_url, x_consistency_key="late", x_request_timeout="0.3")
        assert not first.done()  # which the server's own limit of two seconds would have ended
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
        masker.gate.clear()
        short = ask(url, x_request_timeout="0.1")
        assert "at least 0.25" in str(problem(short, 504, "deadline_too_short")["detail"])
        waiting = [pool.submit(ask, url) for _ in range(5)]
        wait_for(lambda: samples(http, "masker_server_places_taken").popitem()[1] == 5)
        problem(unreachable := ask(url, x_request_timeout="0.5"), 503, "deadline_unreachable")
        assert not any(future.done() for future in waiting)
        masker.gate.set()
        assert int(unreachable.headers["retry-after"]) >= 1
        assert [future.result().status_code for future in waiting] == [200] * 5
        assert ask(url, x_request_timeout="20").status_code == 200
        assert len(masker.calls) == 6
    server.close()


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "soon", "4000"])
def test_a_timeout_that_is_no_number_of_seconds_is_refused(http: httpx.Client, timeout: str) -> None:
    assert "x-request-timeout" in str(problem(ask(http.base_url, x_request_timeout=timeout), 422, "invalid_parameter"))


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
