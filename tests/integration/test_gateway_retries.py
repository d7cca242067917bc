"""Which model server a request goes to, and whether to a second one, with servers that misbehave as told."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from tests.integration.test_gateway import World
from tests.unit.serving.support import NegativeMasker, eventually, running

from identity_masker.serving.board import DOUBTFUL_ERRORS, Server
from identity_masker.serving.control import Endpoint
from identity_masker.serving.gateway import Gateway, GatewayConfig
from identity_masker.serving.routing import only
from identity_masker.serving.upstream import Upstream


class Told(ThreadingHTTPServer):
    """Answers every picture with `status`; counts them."""

    daemon_threads = True

    def __init__(self, status: int) -> None:
        self.status, self.seen = status, 0
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, Told)
        self.rfile.read(int(self.headers["content-length"]))
        self.server.seen += 1
        self.send_response(self.server.status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def told(status: int) -> Iterator[tuple[Told, str]]:
    with Told(status) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        yield World(tmp_path, stack)


def routed(world: World) -> None:
    world.route(only("1", "1.0.1"))
    eventually(f"{world.base}/health/ready")
    time.sleep(0.5)  # all servers have been read


def test_a_server_that_never_looked_is_passed_over_once_and_one_that_failed_is_not_asked_again(world: World) -> None:
    with told(503) as (full, url):
        world.record("1", "full", url)
        world.start("1", "free")
        routed(world)
        assert [world.mask().status_code for _ in range(20)] == [200] * 20
        assert full.seen > 0
    with told(500) as (broken, url):
        world.record("1", "full", url, "draining")
        world.record("2", "broken", url)
        world.start("2", "sound")
        world.route(only("2", "1.0.2"))
        time.sleep(0.5)
        statuses = [world.mask().status_code for _ in range(40)]
        assert broken.seen == statuses.count(500)


def test_a_server_that_keeps_answering_errors_is_passed_over_while_another_one_does_not(world: World) -> None:
    with told(500) as (broken, url):
        world.record("1", "broken", url)
        routed(world)
        # The only one: there is nobody better, and its errors are its clients' to see.
        assert [world.mask().status_code for _ in range(DOUBTFUL_ERRORS + 3)] == [500] * (DOUBTFUL_ERRORS + 3)
        world.start("1", "sound")
        time.sleep(0.5)
        before = broken.seen
        assert 'masker_gateway_servers{state="ejected",version="1"} 1.0' in world.http.get("/metrics").text
        statuses = [world.mask().status_code for _ in range(30)]
        # It is tried again when its pause is over, and its next error is a longer one.
        assert broken.seen - before == statuses.count(500) <= 3


def test_doubt_and_ejection_end_and_begin_anew() -> None:
    endpoint = Endpoint(owner="t", slot="0", version="1", url="http://127.0.0.1:1", pid=1, state="ready")
    server = Server(endpoint, Upstream(endpoint.url))
    for _ in range(DOUBTFUL_ERRORS - 1):
        server.answered(500)
    now = time.monotonic()
    assert server.trusted(now)
    server.answered(200)
    for status in (500, 503, 500, 504, 500):  # 503 says nothing of the server
        server.answered(status)
    assert server.trusted(now)
    for _ in range(DOUBTFUL_ERRORS):
        server.answered(500)
    assert not server.trusted(now)
    assert server.usable(now)
    assert server.trusted(now + 60)
    server.failed()
    assert not server.usable(time.monotonic())


def hedging(tmp_path: Path, stack: contextlib.ExitStack, seconds: float) -> World:
    world = World(tmp_path, stack)
    world.gateway = Gateway(GatewayConfig(hedge_seconds=seconds, answer_seconds=5), world.url)
    world.base = stack.enter_context(running(world.gateway.app))
    world.http = stack.enter_context(httpx.Client(base_url=world.base, timeout=10))
    return world


def test_hedging_asks_a_second_server_and_takes_the_loser_back(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        world = hedging(tmp_path, stack, 0.1)
        slow, fast = NegativeMasker(), NegativeMasker()
        world.start("1", "slow", slow)
        world.start("1", "fast", fast)
        routed(world)
        slow.gate.clear()
        fast.calls.clear()
        with ThreadPoolExecutor(4) as pool:
            statuses = [future.result().status_code for future in [pool.submit(world.mask) for _ in range(8)]]
        assert statuses == [200] * 8
        metrics = world.http.get("/metrics").text
        hedges = float(metrics.split("\nmasker_gateway_hedges_total ")[1].split()[0])
        assert hedges > 0
        assert len([key for call in fast.calls for key in call]) == 8
        slow.gate.set()


def test_there_is_no_hedging_unless_it_is_asked_for(world: World) -> None:
    slow = NegativeMasker(seconds=0.15)
    world.start("1", "a", slow)
    world.start("1", "b", slow)
    routed(world)
    slow.calls.clear()
    assert world.mask().status_code == 200
    assert len(slow.calls) == 1
    assert "masker_gateway_hedges_total 0.0" in world.http.get("/metrics").text
