"""Releases under real traffic: fleet, model servers, gateway and traffic are real, and so are the faults."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.fleet_processes import fleet_thread, free_ports
from tests.integration.release_servers import BROKEN, SLOW, SOUND
from tests.integration.test_serving import FACE, PROJECT, untrained
from tests.unit.release.world import NamedRegistry, policy
from tests.unit.serving.support import eventually, running

from identity_masker.release import start as starting
from identity_masker.release.driver import Driver
from identity_masker.release.gateway_metrics import HttpGateway
from identity_masker.release.looks import Looks
from identity_masker.release.policy import Policy
from identity_masker.release.progress import Progress
from identity_masker.release.rollout_log import RolloutLog
from identity_masker.release.rollout_replay import replay
from identity_masker.release.target import FleetTarget
from identity_masker.serving.control import Control
from identity_masker.serving.deploy import DeployOptions, deploy
from identity_masker.serving.gateway import Gateway, GatewayConfig

pytestmark = pytest.mark.timeout(400)
SERVERS = (sys.executable, "-m", "tests.integration.release_servers", "--model-dir")
ERRORS = {"kind": "share", "margin": 2.0, "negligible": 0.02, "weight": 3.0}
# Seconds, not days: servers of one version drift apart by little.
P95 = {"kind": "quantile", "of": "latency_ms", "quantile": 0.95, "margin": 1.5, "noise": {"sd": 0.05}}
RATE = 25
"""Requests a second: what two model servers do beside others on two cores. Arms that are full teach nothing."""

PACE, PACED_RATE = 0.8, 12
"""Seconds of a call where latencies are compared, and requests a second: neither keeps a processor busy."""


def drill(soak_seconds: float, metrics: dict[str, Any]) -> Policy:
    """A policy that is over in seconds."""
    shares = (0.2, 0.5, 1.0)
    return policy(
        canary={"steps": [{"share": share, "soak_seconds": soak_seconds} for share in shares]},
        interval_seconds=2,
        lease_seconds=6,
        metrics=metrics,
        minimum={"requests": 100, "intervals": 3},
    )


DRILL = drill(4, {"errors": ERRORS})
PATIENT = {"steps": [{"share": 0.5, "soak_seconds": 300}, {"share": 1.0, "soak_seconds": 4}]}
SLOWER = policy(
    canary=PATIENT, interval_seconds=2, lease_seconds=20, ready_seconds=400,
    metrics={"errors": ERRORS, "latency_p95": P95}, minimum={"requests": 100, "intervals": 3},
)  # fmt: skip


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("model"), seed=0)


class Stage:
    """A fleet with version 1 as the champion, a gateway, and the tools of a release."""

    ready_seconds = 60.0

    def __init__(self, folder: Path, model_dir: Path, stack: ExitStack, config: GatewayConfig | None = None) -> None:
        self.url = f"sqlite:///{folder}/control.db"
        self.store = f"file://{folder}/store"
        self.control = stack.enter_context(Control(self.url))
        self.target = FleetTarget(self.control)
        stack.enter_context(self.fleet(folder, model_dir))
        config = config or GatewayConfig(events_dir=folder / "events")  # traffic tells outcomes too
        self.base = stack.enter_context(running(Gateway(config, self.url).app))
        self.registry = NamedRegistry()
        self.registry.versions = {version: f"1.0.{version}" for version in "12345"}
        self.registry.rejected = set()
        options = DeployOptions(reference="1", author="test", timeout=self.ready_seconds)
        deploy(options, self.registry, self.control)
        eventually(f"{self.base}/health/ready")

    def fleet(self, folder: Path, model_dir: Path) -> AbstractContextManager[None]:
        return fleet_thread(self.url, folder / "fleet", free_ports(), (*SERVERS, str(model_dir)))

    def driver(self) -> Driver:
        return Driver(self.control, self.target, HttpGateway(self.base), self.registry, self.store)

    def start(self, version: str, how: Policy = DRILL) -> str:
        options = starting.StartOptions(reference=version, policy_name="drill", policy=how, author="test")
        return starting.start(options, self.registry, self.control, datetime.now(UTC)).id

    def drive(self, seconds: float = 200.0) -> Progress:
        return self.driver().drive(seconds)

    def shares(self) -> dict[str, float]:
        revision = self.control.revision()
        assert revision is not None
        return {variant.version: variant.share for variant in revision.table.variants.values()}


class PacedStage(Stage):
    """Model servers whose calls take `PACE` seconds, and half as long again with version 4."""

    def fleet(self, folder: Path, model_dir: Path) -> AbstractContextManager[None]:
        paced = (*SERVERS, str(model_dir), "--pace", str(PACE))
        return fleet_thread(self.url, folder / "fleet", free_ports(), paced)


def one_size(folder: Path) -> tuple[str, str]:
    """Options of `masker traffic`: pictures of one size, which go into one call."""
    path = folder / "face.png"
    path.write_bytes(FACE)
    return "--image", str(path)


@pytest.fixture
def stage(tmp_path: Path, model_dir: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(tmp_path, model_dir, stack)


@pytest.fixture
def paced(tmp_path: Path, model_dir: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield PacedStage(tmp_path, model_dir, stack)


class Load:
    """`masker traffic` as a process, in pieces, until it is told to stop."""

    def __init__(self, url: str, rate: int, *options: str) -> None:
        self._url, self._rate, self._options, self._stop = url, str(rate), options, threading.Event()
        self.summaries: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            options = ("--rate", self._rate, "--seconds", "10", "--users", "100000", "--seed", str(len(self.summaries)))
            command = [sys.executable, "-m", "identity_masker.cli", "traffic", "--url", self._url, *options]
            command += [*self._options, "--json"]
            done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
            self.summaries.append(json.loads(done.stdout))

    @property
    def failed(self) -> int:
        return sum(sum(summary["failed"].values()) for summary in self.summaries)

    @property
    def sent(self) -> int:
        return sum(summary["requests"] for summary in self.summaries)


@contextmanager
def load(url: str, rate: int = RATE, *options: str) -> Iterator[Load]:
    made = Load(url, rate, *options)
    made._thread.start()
    try:
        yield made
    finally:
        made._stop.set()
        made._thread.join(60)


@pytest.mark.drill
def test_a_healthy_release_reaches_all_traffic_without_a_failed_request(stage: Stage) -> None:
    with load(stage.base) as traffic:
        rollout = stage.start(SOUND)
        done = stage.drive()
    assert done.outcome == "promoted", done
    assert (traffic.failed, stage.shares()) == (0, {SOUND: 1.0})
    assert traffic.sent > 100
    assert stage.registry.aliases == {"champion": SOUND, "previous": "1"}
    assert [d.version for d in stage.control.deployments()] == [SOUND]
    assert len(replay(rollout, stage.store).looks) == done.looks
    print(f"\n{traffic.sent} requests, {traffic.failed} failed, {done.looks} looks")


def test_a_release_that_fails_on_five_percent_is_rolled_back_by_itself(stage: Stage) -> None:
    with load(stage.base):
        rollout = stage.start(BROKEN)
        done = stage.drive()
    assert done.outcome == "rolled_back", done
    assert stage.shares() == {"1": 1.0}
    assert stage.registry.aliases.get("champion") == "1"
    assert [d.version for d in stage.control.deployments()] == ["1"]
    looks = Looks(stage.store, rollout).all()
    assert looks[-1].verdict.verdict == "roll_back"
    assert "errors" in " ".join(done.reasons)


def test_a_release_whose_latency_is_half_as_long_again_is_rolled_back_by_itself(paced: Stage, tmp_path: Path) -> None:
    with load(paced.base, PACED_RATE, *one_size(tmp_path)):
        rollout = paced.start(SLOW, SLOWER)
        done = paced.drive(300)
    (latency,) = [m for m in Looks(paced.store, rollout).all()[-1].verdict.metrics if m.name == "latency_p95"]
    print(f"\np95 {latency.champion} and {latency.canary} ms: {done.looks} looks")
    assert done.outcome == "rolled_back", done
    assert "latency" in " ".join(done.reasons)
    assert paced.shares() == {"1": 1.0}


@pytest.mark.drill
def test_when_the_driver_dies_for_good_the_champion_has_all_traffic_after_the_lease(stage: Stage) -> None:
    with load(stage.base):
        stage.start(SOUND)
        driver = stage.driver()
        while driver.drive(0.3).phase != "soaking":
            time.sleep(0.1)
        assert stage.shares()[SOUND] == 0.2
        time.sleep(DRILL.lease_seconds + 1.5)  # nobody renews it
        summary = _ask(stage.base)
        assert set(summary["by_version"]) == {"1.0.1"}
        assert summary["failed"] == {}
        done = stage.drive()  # Airflow is back
    assert done.outcome == "promoted", done
    newest = RolloutLog(stage.control).newest()
    assert newest is not None
    assert any("the lease had run out" in event.what for event in newest.rollout.events)


def _ask(url: str) -> dict[str, Any]:
    options = ("--rate", "50", "--seconds", "1", "--users", "100000", "--json")
    command = [sys.executable, "-m", "identity_masker.cli", "traffic", "--url", url, *options]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    )
    return found
