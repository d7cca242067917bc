"""Versions that come, go and fail to load while requests are answered."""

from __future__ import annotations

import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
from tests.unit.serving.server.asking import PNG, SMALL, ask, problem, wait_for
from tests.unit.serving.support import NegativeMasker, eventually, noise, running, served_model

from identity_masker.errors import MaskerError
from identity_masker.serving.model import ServedModel
from identity_masker.serving.pictures import encode
from identity_masker.serving.server import ModelServer


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


def test_a_loader_that_fails_ends_as_a_failure_and_not_ready() -> None:
    def loader() -> ServedModel:
        raise MaskerError("no such model")

    failed = threading.Event()
    server = ModelServer(SMALL)
    server.load(loader, failed=failed.set)
    assert failed.wait(5)
    assert str(server.failure) == "no such model."
