"""From the registry to the public address: `masker fleet`, `masker gateway` and `masker deploy` as processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.fleet_processes import SMALL_SERVERS, fleet_thread, free_ports, until
from tests.integration.test_serving import FACE, PNG, PROJECT, Place
from tests.unit.serving.support import eventually
from tests.unit.serving.support import running as serving
from tests.unit.serving.test_deploy import ListedRegistry

from identity_masker.serving.control import Control
from identity_masker.serving.deploy import DeployOptions, deploy
from identity_masker.serving.gateway import Gateway, GatewayConfig

REGISTER = "tests.integration.registered_models"
MASKER = "identity_masker.cli"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MASKER_")}
    port = free_ports()
    environment |= {
        "MASKER_HOME": str(tmp_path / "home"),
        "MASKER_MLFLOW_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MASKER_GATEWAY_PORT": str(port),
        "MASKER_SERVER_PORT": str(port + 1),
        "MASKER_FLEET_PORT": str(port + 7),
        "OMP_NUM_THREADS": "1",
    }
    return Place(tmp_path, environment)


@contextlib.contextmanager
def running(place: Place, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `masker` process that must end well on SIGTERM."""
    with subprocess.Popen([sys.executable, "-m", MASKER, *words], cwd=PROJECT, env=place.environment) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(30) == 0
            finally:
                process.kill()


class Traffic:
    """Sends a picture again and again, and keeps what came back."""

    def __init__(self, url: str) -> None:
        self.answers: list[tuple[int, str | None]] = []
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as http:
            while not self._stop.wait(0.02):
                answer = http.post("/v1/mask", content=FACE, headers=PNG)
                self.answers.append((answer.status_code, answer.headers.get("x-model-version")))


def test_a_registered_version_reaches_the_public_address_and_comes_back_without_the_registry(place: Place) -> None:
    registering = [sys.executable, "-m", REGISTER, str(place.folder)]
    subprocess.run(registering, cwd=PROJECT, env=place.environment, check=True, timeout=200)
    gateway = f"http://127.0.0.1:{place.environment['MASKER_GATEWAY_PORT']}"
    with running(place, "fleet"), running(place, "gateway"):
        ended = place.masker("deploy", "--version", "challenger", "--json")
        assert ended.returncode == 0, ended.stderr
        deployed = json.loads(ended.stdout)
        assert (deployed["version"], deployed["semver"], deployed["revision"]) == ("1", "1.0.0", 1)
        assert deployed["endpoints"] == [f"http://127.0.0.1:{place.environment['MASKER_SERVER_PORT']}"]
        assert deployed["previous"] is None
        eventually(f"{gateway}/health/ready", seconds=5)

        (place.folder / "mlflow.db").rename(place.folder / "away.db")
        with Control(f"sqlite:///{place.environment['MASKER_HOME']}/control.db") as control:
            (before,) = until(control, lambda endpoints: [e.state for e in endpoints] == ["ready"])
            os.kill(before.pid, signal.SIGKILL)
            killed = time.monotonic()
            until(control, lambda endpoints: [e.state for e in endpoints if e.pid != before.pid] == ["ready"])
            print(f"the killed server is back after {time.monotonic() - killed:.1f} s")
        eventually(f"{gateway}/health/ready", seconds=5)
        answer = httpx.post(f"{gateway}/v1/mask", content=FACE, headers=PNG, timeout=30)
        assert (answer.status_code, answer.headers["x-model-version"]) == (200, "1.0.0")


def test_versions_follow_each_other_and_no_request_fails(tmp_path: Path) -> None:
    """With real servers of a small masker: wanted, started, switched and drained while requests come in."""
    url = f"sqlite:///{tmp_path}/control.db"
    registry = ListedRegistry()
    gateway = Gateway(GatewayConfig(), url)
    with (
        Control(url) as control,
        fleet_thread(url, tmp_path / "fleet", free_ports(), SMALL_SERVERS),
        serving(gateway.app) as base,
    ):
        deploy(DeployOptions(reference="1", author="test"), registry, control)
        eventually(f"{base}/health/ready", seconds=5)
        with Traffic(base) as traffic:
            second = deploy(DeployOptions(reference="2", author="test"), registry, control)
            until(control, lambda endpoints: [e.version for e in endpoints] == ["2"])
            again = deploy(DeployOptions(reference="2", author="test"), registry, control)
    assert second == again
    assert (second.version, second.previous, second.revision) == ("2", "1", 2)
    assert {status for status, _ in traffic.answers} == {200}
    assert list(dict.fromkeys(version for _, version in traffic.answers)) == ["1.0.1", "1.0.2"]
