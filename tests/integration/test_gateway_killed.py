"""The gateway as a process, killed while it takes events: what it acknowledged is in the store, once."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
from tests.unit.serving.support import eventually, noise, running, served_model
from tests.unit.telemetry.events.samples import stored

from identity_masker.serving.control import Control, Endpoint
from identity_masker.serving.pictures import encode
from identity_masker.serving.routing import only
from identity_masker.serving.server import ModelServer, ServerConfig

MASKER = (sys.executable, "-m", "identity_masker.cli")
KILLS = 4


@contextlib.contextmanager
def gateway(environment: dict[str, str], url: list[str]) -> Iterator[subprocess.Popen[str]]:
    command = [*MASKER, "gateway", "--port", "0", "--json"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as it:
        assert it.stdout is not None
        url.append(json.loads(it.stdout.readline())["url"])
        try:
            yield it
        finally:
            it.kill()


class Client(threading.Thread):
    """Sends events and pictures until it is stopped; remembers the events that were acknowledged."""

    def __init__(self, url: str, prefix: str) -> None:
        super().__init__()
        self.url, self.prefix = url, prefix
        self.acknowledged: list[float] = []
        self.masked = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        picture, number = encode(noise(), "JPEG"), 0
        with httpx.Client(base_url=self.url, timeout=5, headers={"x-user-id": "alice"}) as http:
            while not self.stopped.is_set():
                number += 1
                event = {"name": self.prefix, "value": number, "event_id": f"{self.prefix}-{number}"}
                try:
                    if http.post("/v1/events", json={"events": [event]}).status_code == 200:
                        self.acknowledged.append(number)
                    answer = http.post("/v1/mask", content=picture, headers={"content-type": "image/jpeg"})
                    self.masked += answer.status_code == 200
                except httpx.TransportError:
                    return


def test_a_killed_gateway_loses_no_acknowledged_event(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MASKER_")}
    environment = {**kept, "MASKER_HOME": str(tmp_path)}
    acknowledged: set[tuple[str, float]] = set()
    masked = 0
    with contextlib.ExitStack() as stack:
        control = stack.enter_context(Control(f"sqlite:///{tmp_path}/control.db"))
        server = ModelServer(ServerConfig())
        server.use(served_model())
        endpoint = stack.enter_context(running(server.app))
        stack.callback(server.close)
        control.write_routing(only("1", "1.0.1"), expected=0, author="test", reason="test")
        for kill in range(KILLS):
            state = Endpoint(owner="t", slot="0", version="1", url=endpoint, pid=1, state="ready")
            control.record_endpoint(state)
            url: list[str] = []
            with gateway(environment, url) as process:
                eventually(f"{url[0]}/health/ready", seconds=30)
                client = Client(url[0], f"kill{kill}")
                client.start()
                time.sleep(random.Random(kill).uniform(0.5, 1.0))
                process.kill()
                client.stopped.set()
                client.join()
            acknowledged |= {(client.prefix, number) for number in client.acknowledged}
            masked += client.masked
    command = [*MASKER, "events", "compact", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    found = [(row["name"], row["value"]) for row in stored(tmp_path / "store", "outcomes")]
    assert len(acknowledged) > 10 * KILLS
    assert acknowledged <= set(found)
    assert len(found) == len(set(found)) <= len(acknowledged) + KILLS
    assert result["rejected"] == result["damaged"] == 0
    # A request is logged after its answer, so the last ones before a kill may be missing.
    requests = stored(tmp_path / "store", "requests")
    assert masked - 2 * KILLS <= len(requests) <= masked + KILLS
    assert all(row["time"] <= datetime.now(UTC) for row in requests)
