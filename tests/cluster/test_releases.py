"""Releases under real traffic with pods: a gateway on this machine, model servers in the cluster, real faults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from tests.cluster.serving_stage import Place, fleet_thread, place
from tests.integration.strategy_drills import CANDIDATE, StrategyDrills, assert_promoted, quick
from tests.integration.test_release import Stage, load

from identity_masker.release.looks import Looks

BROKEN = "3"
FAULTS = "faults"
CANARY = quick(canary={"steps": [{"share": share, "soak_seconds": 4} for share in (0.2, 0.5, 1.0)]})
SERVER = ("python3", "/opt/faults/faulty_server.py", "serve")
MOUNT = {"name": "faults", "mount_path": "/opt/faults", "config_map": FAULTS}


class ClusterStage(Stage):
    """As `Stage`, with a fleet of pods; version 3 fails on 5 % of the pictures."""

    ready_seconds = 400.0

    def __init__(self, where: Place, folder: Path, stack: ExitStack) -> None:
        self._place = where
        super().__init__(folder, folder, stack)

    def fleet(self, folder: Path, model_dir: Path) -> AbstractContextManager[None]:
        blueprint = self._place.blueprint(command=SERVER, mounts=[MOUNT])
        return fleet_thread(self._place, self.url, blueprint)


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("place")) as made:
        wrapper = Path(__file__).with_name("faulty_server.py").read_text(encoding="utf-8")
        made.namespace.text_map(FAULTS, {"faulty_server.py": wrapper})
        yield made


class TestKubernetes(StrategyDrills):
    @pytest.fixture
    def stage(self, where: Place, tmp_path: Path) -> Iterator[Stage]:
        with where.emptied(), ExitStack() as stack:
            yield ClusterStage(where, tmp_path, stack)

    def test_a_healthy_canary_reaches_all_traffic_without_a_failed_request(self, stage: Stage) -> None:
        with load(stage.base, rate=40) as traffic:
            stage.start(CANDIDATE, CANARY)
            done = stage.drive(600)
        assert_promoted(stage, done)
        assert traffic.failed == 0
        print(f"\n{traffic.sent} requests, {traffic.failed} failed, {done.looks} looks")

    def test_a_release_that_fails_on_five_percent_is_rolled_back_by_itself(self, stage: Stage) -> None:
        with load(stage.base, rate=40) as traffic:
            rollout = stage.start(BROKEN, CANARY)
            done = stage.drive(600)
        assert done.outcome == "rolled_back", done
        assert "errors" in " ".join(done.reasons)
        assert stage.shares() == {"1": 1.0}
        assert stage.registry.aliases.get("champion") == "1"
        assert [d.version for d in stage.control.deployments()] == ["1"]
        looks = Looks(stage.store, rollout).all()
        assert looks[-1].verdict.verdict == "roll_back"
        print(f"\n{traffic.sent} requests, {traffic.failed} failed, {done.looks} looks")
