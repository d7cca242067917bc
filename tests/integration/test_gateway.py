"""The gateway in front of real HTTP servers, driven by a real control database."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from tests.unit.serving.support import NegativeMasker, eventually, noise, poisoned, running, served_model

from identity_masker.serving.characteristics import LookUp
from identity_masker.serving.control import Control, Endpoint, EndpointState
from identity_masker.serving.exposures import Assign
from identity_masker.serving.gateway import Gateway, GatewayConfig
from identity_masker.serving.pictures import encode
from identity_masker.serving.routing import Override, RoutingTable, Variant, only
from identity_masker.serving.server import ModelServer, ServerConfig
from identity_masker.telemetry import logs

PNG = {"content-type": "image/png"}
PICTURE = encode(noise(), "PNG")
KEY = "key of units"


class World:
    """A control database, a gateway on it with an event log, and model servers that the test starts and stops."""

    def __init__(
        self,
        folder: Path,
        stack: contextlib.ExitStack,
        assign: Assign | None = None,
        look_up: LookUp | None = None,
    ) -> None:
        self.url = f"sqlite:///{folder}/control.db"
        self.control = stack.enter_context(Control(self.url))
        self.events = folder / "events"
        config = GatewayConfig(
            answer_seconds=5, max_bytes=100_000, events_dir=self.events, unit_key=SecretStr(KEY), sample_share=1.0
        )
        self.gateway = Gateway(config, self.url, assign=assign, look_up=look_up)
        self.base = stack.enter_context(running(self.gateway.app))
        self.http = stack.enter_context(httpx.Client(base_url=self.base, timeout=10))
        self._stack = stack

    def start(self, version: str, slot: str = "0", masker: NegativeMasker | None = None, capacity: int = 64) -> str:
        """A model server of `version` that is ready, in the control database too."""
        server = ModelServer(ServerConfig(capacity=capacity))
        server.use(served_model(masker, version))
        url = self._stack.enter_context(running(server.app))
        self._stack.callback(server.close)
        self.record(version, slot, url)
        return url

    def record(self, version: str, slot: str, url: str, state: EndpointState = "ready") -> None:
        self.control.record_endpoint(
            Endpoint(owner="test", slot=f"{version}-{slot}", version=version, url=url, pid=1, state=state)
        )

    def route(self, table: RoutingTable) -> int:
        """Write the table and wait until the gateway follows."""
        number = self.control.write_routing(
            table, expected=self.control.revision_number(), author="test", reason="test"
        ).number
        deadline = time.monotonic() + 5
        while True:
            answer = self.http.get("/v1/routing")
            if answer.status_code == 200 and answer.json()["revision"] == number:
                return number
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def mask(self, **headers: str) -> httpx.Response:
        return self.http.post("/v1/mask", content=PICTURE, headers={**PNG, **headers})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        yield World(tmp_path, stack)


def canary(share: float, lease: datetime | None = None) -> RoutingTable:
    return RoutingTable(
        variants={
            "champion": Variant(version="1", semver="1.0.1", share=1 - share),
            "canary": Variant(version="2", semver="1.0.2", share=share, lease_expires_at=lease),
        }
    )


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_before_the_first_deployment_it_says_what_to_run(world: World) -> None:
    eventually(f"{world.base}/health/live")
    time.sleep(0.5)  # the database has been read
    answer = world.mask()
    document = answer.json()
    assert (answer.status_code, document["reason"]) == (503, "no_model")
    assert "masker deploy" in document["fix"]
    assert answer.headers["retry-after"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert world.http.get("/health/ready").status_code == 503


def test_a_picture_passes_through_with_the_names_of_all_that_touched_it(world: World) -> None:
    masker = NegativeMasker()
    world.start("1", masker=masker)
    world.route(only("1", "1.0.1"))
    assert eventually(f"{world.base}/health/ready").json()["model_version"] == "1.0.1"
    answer = world.http.post(
        "/v1/mask?key=visit",
        content=PICTURE,
        headers={**PNG, "x-request-id": "id-1", "accept": "image/webp", "x-user-id": "alice"},
    )
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert answer.headers["x-request-id"] == "id-1"
    assert answer.headers["x-variant"] == "champion"
    assert answer.headers["x-model-version"] == "1.0.1"
    assert masker.calls[-1] == ["visit"]


def test_errors_of_the_model_server_pass_through(world: World) -> None:
    world.start("1")
    world.route(only("1", "1.0.1"))
    eventually(f"{world.base}/health/ready")
    for content, status, reason in (
        (b"no picture", 422, "not_an_image"),
        (encode(poisoned(), "PNG"), 500, "masking_failed"),
    ):
        answer = world.http.post("/v1/mask", content=content, headers={**PNG, "x-request-id": "id-2"})
        assert (answer.status_code, answer.json()["reason"]) == (status, reason)
        assert answer.json()["request_id"] == answer.headers["x-request-id"] == "id-2"
        assert answer.headers["x-variant"] == "champion"


@pytest.mark.parametrize(
    ("content", "headers", "status"), [(b"", PNG, 400), (b"x", {}, 415), (bytes(100_001), PNG, 413)]
)
def test_bad_requests_end_at_the_gateway(world: World, content: bytes, headers: dict[str, str], status: int) -> None:
    masker = NegativeMasker()
    world.start("1", masker=masker)
    masker.calls.clear()
    world.route(only("1", "1.0.1"))
    assert world.http.post("/v1/mask", content=content, headers=headers).status_code == status
    assert masker.calls == []


def test_large_pictures_at_once_are_refused_before_memory_runs_out(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/control.db"
    with Control(url) as control:
        gateway = Gateway(GatewayConfig(body_bytes=len(PICTURE) + 10), url)
        control.write_routing(only("1", "1.0.1"), expected=0, author="test", reason="test")
        with running(gateway.app) as base:
            eventually(f"{base}/v1/routing")
            answers = [
                httpx.post(f"{base}/v1/mask", content=content, headers=PNG)
                for content in (PICTURE, PICTURE + bytes(20), PICTURE)
            ]
    assert [answer.json()["reason"] for answer in answers] == ["no_server", "overloaded", "no_server"]


def test_a_change_of_the_table_is_followed_within_a_second(world: World) -> None:
    world.start("1")
    world.start("2")
    world.route(only("1", "1.0.1"))
    eventually(f"{world.base}/health/ready")
    assert world.mask().headers["x-model-version"] == "1.0.1"
    world.control.write_routing(only("2", "1.0.2"), expected=1, author="test", reason="test")
    written = time.monotonic()
    while world.mask().headers["x-model-version"] != "1.0.2":
        assert time.monotonic() - written < 1.0


def test_no_request_fails_while_the_table_changes(world: World) -> None:
    world.start("1")
    world.start("2")
    world.route(only("1", "1.0.1"))
    eventually(f"{world.base}/health/ready")
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(world.mask) for _ in range(300)]
        for number in range(1, 6):
            version = str(1 + number % 2)
            world.control.write_routing(only(version, version), expected=number, author="test", reason="flip")
            time.sleep(0.1)
        answers = [future.result() for future in futures]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["x-model-version"] for answer in answers} == {"1.0.1", "1.0.2"}


def test_a_user_stays_with_one_variant_and_users_are_split(world: World) -> None:
    world.start("1")
    world.start("2")
    world.route(canary(0.5))
    time.sleep(0.6)  # the endpoints have been read
    seen: dict[str, set[str]] = {}
    for _ in range(3):
        for user in range(20):
            answer = world.mask(**{"x-user-id": f"user-{user}"})
            seen.setdefault(f"user-{user}", set()).add(answer.headers["x-variant"])
    assert all(len(variants) == 1 for variants in seen.values())
    assert set.union(*seen.values()) == {"champion", "canary"}


def test_a_lease_that_runs_out_gives_the_traffic_back_without_a_write(world: World) -> None:
    world.start("1")
    world.start("2")
    world.route(canary(1.0, datetime.now(UTC) + timedelta(seconds=1.5)))
    time.sleep(0.5)
    assert world.mask().headers["x-variant"] == "canary"
    time.sleep(1.2)
    answer = world.mask()
    assert (answer.headers["x-variant"], answer.headers["x-model-version"]) == ("champion", "1.0.1")
    assert 'variant="champion"' in world.http.get("/metrics").text
    assert 'masker_gateway_decisions_total{fallback="lease",variant="champion"} 1.0' in world.http.get("/metrics").text


def test_a_tester_reaches_a_variant_without_a_share_and_is_counted_apart(world: World) -> None:
    world.start("1")
    world.start("2")
    testers = Override(header="x-masker-variant", value="canary", variant="canary")
    world.route(canary(0.0).model_copy(update={"testers": testers}))
    eventually(f"{world.base}/health/ready")
    assert world.mask(**{"x-masker-variant": "canary"}).headers["x-model-version"] == "1.0.2"
    assert world.mask().headers["x-model-version"] == "1.0.1"
    metrics = world.http.get("/metrics").text
    counted = 'masker_gateway_answer_seconds_count{outcome="ok",variant="canary",version="2",via="tester"} 1.0'
    assert counted in metrics


def test_a_variant_without_a_server_falls_back_to_the_champion(world: World) -> None:
    world.start("1")
    world.route(canary(1.0))
    eventually(f"{world.base}/health/ready")
    assert world.mask().headers["x-variant"] == "champion"


def test_a_champion_without_a_server_is_503_and_the_canary_does_not_take_over(world: World) -> None:
    world.start("2")
    world.route(canary(0.0))
    answer = world.mask()
    assert (answer.status_code, answer.json()["reason"]) == (503, "no_server")
    assert "1.0.1" in answer.json()["detail"]


def test_a_dead_server_is_passed_over_and_left_alone_for_a_while(world: World) -> None:
    world.start("1", "alive")
    world.record("1", "dead", f"http://127.0.0.1:{closed_port()}")
    world.route(only("1", "1.0.1"))
    eventually(f"{world.base}/health/ready")
    assert [world.mask().status_code for _ in range(30)] == [200] * 30
    metrics = world.http.get("/metrics").text
    found = re.search(r"^masker_gateway_retries_total (\S+)$", metrics, re.MULTILINE)
    assert found is not None
    assert 1 <= float(found[1]) <= 3


def test_a_server_that_dies_with_the_request_costs_the_client_nothing(world: World) -> None:
    """It takes the connection and the request, and closes without an answer, as a killed process does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def die() -> None:
            connection, _ = listener.accept()
            connection.recv(100_000)
            connection.close()

        with ThreadPoolExecutor(1) as pool:
            killed = pool.submit(die)
            world.record("1", "dies", f"http://127.0.0.1:{listener.getsockname()[1]}")
            world.start("1", "lives")
            world.route(only("1", "1.0.1"))
            eventually(f"{world.base}/health/ready")
            time.sleep(0.4)
            deadline = time.monotonic() + 5
            while not killed.done():
                assert world.mask().status_code == 200
                assert time.monotonic() < deadline


def test_a_full_server_is_passed_over(world: World) -> None:
    slow = NegativeMasker()
    world.start("1", "full", slow, capacity=1)
    world.route(only("1", "1.0.1"))
    eventually(f"{world.base}/health/ready")
    slow.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(world.mask)
        time.sleep(0.3)
        refused = world.mask()
        assert (refused.status_code, refused.json()["reason"]) == (503, "overloaded")
        assert refused.headers["retry-after"]
        world.start("1", "free")
        time.sleep(0.6)
        assert [world.mask().status_code for _ in range(10)] == [200] * 10
        slow.gate.set()
        assert stuck.result().status_code == 200


def test_a_server_that_drains_gets_nothing_new_while_another_is_ready(world: World) -> None:
    leaving, staying = NegativeMasker(), NegativeMasker()
    url = world.start("1", "leaving", leaving)
    world.start("1", "staying", staying)
    world.record("1", "leaving", url, "draining")
    world.route(only("1", "1.0.1"))
    time.sleep(0.6)
    leaving.calls.clear()
    assert [world.mask().status_code for _ in range(8)] == [200] * 8
    assert leaving.calls == []
    world.control.forget_endpoint("test", "1-staying")
    time.sleep(0.6)
    assert world.mask().status_code == 200  # the last one, although it drains


def test_a_server_that_is_too_slow_is_504(world: World) -> None:
    slow = NegativeMasker()
    world.start("1", masker=slow)
    world.gateway.config = GatewayConfig(answer_seconds=0.3)
    world.route(only("1", "1.0.1"))
    eventually(f"{world.base}/health/ready")
    slow.gate.clear()
    answer = world.mask()
    slow.gate.set()
    assert (answer.status_code, answer.json()["reason"]) == (504, "upstream_deadline")


def test_a_client_that_leaves_takes_its_request_along(world: World) -> None:
    slow = NegativeMasker()
    world.start("1", masker=slow)
    slow.calls.clear()
    world.route(only("1", "1.0.1"))
    eventually(f"{world.base}/health/ready")
    slow.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(world.mask, **{"x-consistency-key": "stays"})
        time.sleep(0.3)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{world.base}/v1/mask?key=leaves", content=PICTURE, headers=PNG, timeout=0.3)
        time.sleep(0.3)
        slow.gate.set()
        assert stuck.result().status_code == 200
    world.mask(**{"x-consistency-key": "last"})
    assert [key for call in slow.calls for key in call] == ["stays", "last"]


def test_the_gateway_goes_on_while_the_control_database_is_away(world: World, tmp_path: Path) -> None:
    world.start("1")
    world.route(only("1", "1.0.1"))
    eventually(f"{world.base}/health/ready")
    for file in tmp_path.glob("control.db*"):
        file.write_bytes(b"this is no database" * 1000)
    time.sleep(0.8)
    assert world.mask().status_code == 200


def test_nothing_of_user_key_or_token_is_logged_or_passed_on(world: World) -> None:
    stream = io.StringIO()
    logs.configure(level="DEBUG", correlation_id="", stream=stream, json_lines=True)
    world.start("1")
    world.route(only("1", "1.0.1"))
    eventually(f"{world.base}/health/ready")
    world.http.post(
        "/v1/mask?key=planted-key",
        content=PICTURE,
        headers={**PNG, "x-user-id": "planted-user", "authorization": "Bearer planted-token", "x-request-id": "found"},
    )
    time.sleep(0.1)
    assert stream.getvalue().count('"request_id": "found"') == 2  # the gateway's line and the server's
    assert "planted" not in stream.getvalue()
    assert "planted" not in world.http.get("/metrics").text


def test_the_docs_of_the_gateway_name_its_own_headers(world: World) -> None:
    mask = world.http.get("/openapi.json").json()["paths"]["/v1/mask"]["post"]
    assert "x-variant" in mask["responses"]["200"]["headers"]
    server = {"key", "x-consistency-key", "version", "x-request-timeout", "strength", "x-masking-strength"}
    own = {"x-user-id", "x-user-attributes", "x-sample-consent", "x-source-id"}
    assert {p["name"] for p in mask["parameters"]} == server | own
    assert world.http.get("/docs").status_code == 200
