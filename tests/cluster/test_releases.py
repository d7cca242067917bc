"""Releases under real traffic with pods: a gateway on this machine, model servers in the cluster, real faults."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cluster.serving_stage import Place, fleet_thread, place
from tests.integration.release_figures import figures
from tests.integration.strategy_drills import CANDIDATE, StrategyDrills, assert_promoted, quick
from tests.integration.test_release import ERRORS, P95, Load, Stage, load
from tests.integration.test_release_quality import LEAK
from tests.unit.masking.small_faces import faces
from tests.unit.serving.examiners import small_examiner

from identity_masker.release.looks import Looks
from identity_masker.release.policy import Policy
from identity_masker.release.progress import Progress
from identity_masker.serving.gateway import GatewayConfig
from identity_masker.serving.pictures import encode

BROKEN, SLOW, LEAKY = "3", "4", "5"
FAULTS = "faults"
STEPS = [{"share": share, "soak_seconds": 4} for share in (0.2, 0.5, 1.0)]
PATIENT = {"steps": [{"share": 0.5, "soak_seconds": 300}, {"share": 1.0, "soak_seconds": 4}]}
# Seconds, not days: servers of one version drift apart by little.
SLOWER = {"errors": ERRORS, "latency_p95": {**P95, "noise": {"sd": 0.05}}}
LEAKIER = {"errors": ERRORS, "leak": LEAK}
CANARY = quick(canary={"steps": STEPS})
SERVER = ("python3", "/opt/faults/faulty_server.py", "serve")
MOUNT = {"name": "faults", "mount_path": "/opt/faults", "config_map": FAULTS}
REQUESTS = {"cpu": "500m", "memory": "256Mi"}
RATE = 25
STRAY, SECONDS_TO_SWITCH = 3, 60.0


class ClusterStage(Stage):
    """As `Stage`, with a fleet of pods; versions 3 to 5 have the faults of `faulty_server`."""

    ready_seconds = 400.0

    def __init__(self, where: Place, folder: Path, stack: ExitStack, **gateway: Any) -> None:
        self._place, self.folder = where, folder
        super().__init__(folder, folder, stack, GatewayConfig(events_dir=folder / "events", **gateway))

    def fleet(self, folder: Path, model_dir: Path) -> AbstractContextManager[None]:
        blueprint = self._place.blueprint(command=SERVER, mounts=[MOUNT], requests=REQUESTS)
        return fleet_thread(self._place, self.url, blueprint)

    def released(self, version: str, policy: Policy, *options: str) -> tuple[Progress, Load]:
        """Release `version` under traffic, to its end."""
        with load(self.base, RATE, *options) as traffic:
            self.start(version, policy)
            done = self.drive(600)
        return done, traffic


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("place")) as made:
        wrapper = Path(__file__).with_name("faulty_server.py").read_text(encoding="utf-8")
        made.namespace.text_map(FAULTS, {"faulty_server.py": wrapper})
        yield made


@pytest.fixture(scope="module")
def examiner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("examiner")
    small_examiner(made)
    return made


@pytest.fixture
def face(tmp_path: Path) -> tuple[str, str]:
    """Options of `masker traffic`: a face that is recognised behind the sound versions now and then."""
    path = tmp_path / "face.png"
    path.write_bytes(encode(faces(900, 1, 1).images[0], "PNG"))
    return "--image", str(path)


def assert_rolled_back(stage: ClusterStage, done: Progress, metric: str) -> None:
    """By itself, for the right reason, and users did not notice."""
    assert done.outcome == "rolled_back", done
    assert metric in " ".join(done.reasons)
    assert stage.shares() == {"1": 1.0}
    assert stage.registry.aliases.get("champion") == "1"
    assert [d.version for d in stage.control.deployments()] == ["1"]
    assert Looks(stage.store, done.rollout).all()[-1].verdict.verdict == "roll_back"
    found = figures(stage, stage.folder)
    assert found.seconds < SECONDS_TO_SWITCH
    assert found.stray <= STRAY


def shown(stage: ClusterStage, done: Progress, traffic: Load) -> None:
    last, found = Looks(stage.store, done.rollout).all()[-1].verdict, figures(stage, stage.folder)
    levels = "; ".join(f"{m.name} {m.champion} and {m.canary}" for m in last.metrics)
    print(f"\n{done.outcome}: {traffic.sent} requests, {traffic.failed} failed, {done.looks} looks; {levels}")
    print([summary["failed"] for summary in traffic.summaries if summary["failed"]])
    print(f"{found.seconds:.2f} s from the verdict to the switch, {found.stray} stray requests")


class TestKubernetes(StrategyDrills):
    @pytest.fixture
    def stage(self, where: Place, tmp_path: Path) -> Iterator[Stage]:
        with where.emptied(), ExitStack() as stack:
            yield ClusterStage(where, tmp_path, stack)

    @pytest.fixture
    def examined(self, where: Place, tmp_path: Path, examiner: Path) -> Iterator[ClusterStage]:
        with where.emptied(), ExitStack() as stack:
            made = ClusterStage(where, tmp_path, stack, examiner=str(examiner), quality_share=1.0, quality_rate=20.0)
            deadline = time.monotonic() + 120
            while "masker_gateway_examiner_info{" not in httpx.get(f"{made.base}/metrics").text:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            yield made

    def test_a_healthy_canary_reaches_all_traffic_without_a_failed_request(self, stage: ClusterStage) -> None:
        done, traffic = stage.released(CANDIDATE, CANARY)
        shown(stage, done, traffic)
        assert_promoted(stage, done)
        assert traffic.failed == 0
        assert figures(stage, stage.folder).stray <= STRAY

    def test_a_release_that_fails_on_five_percent_is_rolled_back_by_itself(self, stage: ClusterStage) -> None:
        done, traffic = stage.released(BROKEN, CANARY)
        shown(stage, done, traffic)
        assert_rolled_back(stage, done, "errors")

    def test_a_release_that_is_slower_is_rolled_back_by_itself(self, stage: ClusterStage) -> None:
        done, traffic = stage.released(SLOW, quick(canary=PATIENT, metrics=SLOWER))
        shown(stage, done, traffic)
        assert_rolled_back(stage, done, "latency")

    def test_a_release_that_leaks_twice_as_much_is_rolled_back_by_itself(
        self, examined: ClusterStage, face: tuple[str, str]
    ) -> None:
        done, traffic = examined.released(LEAKY, quick(canary=PATIENT, metrics=LEAKIER), *face)
        shown(examined, done, traffic)
        assert_rolled_back(examined, done, "leak")
