"""Several gateway processes before the same model servers: each has its own registry, and no count is lost."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.serving.support import eventually, noise, running, served_model

from identity_masker.serving.control import Control, Endpoint
from identity_masker.serving.pictures import encode
from identity_masker.serving.routing import only
from identity_masker.serving.server import ModelServer, ServerConfig

REQUESTS = 60


@contextlib.contextmanager
def gateway(home: Path) -> Iterator[str]:
    """A gateway process on any free port; its URL."""
    command = [sys.executable, "-m", "identity_masker.cli", "gateway", "--port", "0", "--drain-seconds", "0", "--json"]
    environment = {**os.environ, "MASKER_HOME": str(home)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def answered(url: str) -> float:
    """Requests that the gateway at `url` says it answered by a variant."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics", timeout=30).text)
    samples = [s for family in families for s in family.samples if s.name == "masker_gateway_answer_seconds_count"]
    return sum(s.value for s in samples if s.labels["outcome"] == "ok")


def keep_alive(control: Control, endpoint: Endpoint, stop: threading.Event) -> None:
    while not stop.wait(1):
        control.record_endpoint(endpoint)


def test_the_counts_of_all_gateway_processes_add_up_to_the_requests_that_were_sent(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        control = stack.enter_context(Control(f"sqlite:///{tmp_path}/control.db"))
        server = ModelServer(ServerConfig())
        stack.callback(server.close)
        server.use(served_model())
        url = stack.enter_context(running(server.app))
        endpoint = Endpoint(owner="test", slot="1-0", version="1", url=url, pid=1, state="ready")
        control.record_endpoint(endpoint)
        stop = threading.Event()
        heart = threading.Thread(target=keep_alive, args=(control, endpoint, stop))
        heart.start()
        stack.callback(heart.join)
        stack.callback(stop.set)
        control.write_routing(only("1", "1.0.1"), expected=0, author="test", reason="test")
        urls = [stack.enter_context(gateway(tmp_path)) for _ in range(2)]
        for each in urls:
            eventually(f"{each}/health/ready", seconds=90)
        picture = encode(noise(), "PNG")

        def mask(number: int) -> int:
            where = f"{urls[number % 3 == 0]}/v1/mask"
            return httpx.post(where, content=picture, headers={"content-type": "image/png"}, timeout=60).status_code

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(mask, range(REQUESTS))) == {200}
        assert [answered(each) for each in urls] == [REQUESTS * 2 / 3, REQUESTS / 3]
