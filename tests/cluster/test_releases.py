"""Releases under real traffic with pods: a gateway on this machine, model servers in the cluster, real faults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.faulty_pods import BROKEN, LEAKY, PACED, PODS, SLOW, faulty_place
from tests.cluster.serving_stage import Place, fleet_thread
from tests.integration.release_figures import figures
from tests.integration.strategy_drills import CANDIDATE, StrategyDrills, assert_promoted, quick
from tests.integration.test_release import ERRORS, PACED_RATE, PATIENT, SLOWER, Load, Stage, load, one_size
from tests.integration.test_release_quality import LEAK, examined_by, known_face, until_examined
from tests.unit.serving.examiners import small_examiner

from identity_masker.release.looks import Looks
from identity_masker.release.policy import Policy
from identity_masker.release.progress import Progress
from identity_masker.serving.gateway import GatewayConfig

STEPS = [{"share": share, "soak_seconds": 4} for share in (0.2, 0.5, 1.0)]
LEAKIER = quick(canary=PATIENT, metrics={"errors": ERRORS, "leak": LEAK})
CANARY = quick(canary={"steps": STEPS})
RATE = 25
STRAY, SECONDS_TO_SWITCH = 3, 60.0


class ClusterStage(Stage):
    """As `Stage`, with a fleet of pods."""

    ready_seconds = 400.0

    def __init__(self, where: Place, folder: Path, stack: ExitStack, pods: dict[str, Any], **gateway: Any) -> None:
        """`pods`, `gateway`: what differs from small pods of the product, and from its gateway."""
        self._place, self.folder, self._pods = where, folder, pods
        super().__init__(folder, folder, stack, GatewayConfig(events_dir=folder / "events", **gateway))

    def fleet(self, folder: Path, model_dir: Path) -> AbstractContextManager[None]:
        return fleet_thread(self._place, self.url, self._place.blueprint(**self._pods))

    def released(self, version: str, policy: Policy, *options: str, rate: int = RATE) -> tuple[Progress, Load]:
        """Release `version` under traffic, to its end."""
        with load(self.base, rate, *options) as traffic:
            self.start(version, policy)
            done = self.drive(600)
        return done, traffic


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with faulty_place(tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest.fixture(scope="module")
def examiner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("examiner")
    small_examiner(made)
    return made


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
            yield ClusterStage(where, tmp_path, stack, PODS)

    @pytest.fixture
    def paced(self, where: Place, tmp_path: Path) -> Iterator[ClusterStage]:
        with where.emptied(), ExitStack() as stack:
            yield ClusterStage(where, tmp_path, stack, PACED)

    @pytest.fixture
    def examined(self, where: Place, tmp_path: Path, examiner: Path) -> Iterator[ClusterStage]:
        with where.emptied(), ExitStack() as stack:
            made = ClusterStage(where, tmp_path, stack, PODS, **examined_by(examiner))
            until_examined(made.base)
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

    def test_a_release_whose_latency_is_half_as_long_again_is_rolled_back_by_itself(
        self, paced: ClusterStage, tmp_path: Path
    ) -> None:
        done, traffic = paced.released(SLOW, SLOWER, *one_size(tmp_path), rate=PACED_RATE)
        shown(paced, done, traffic)
        assert_rolled_back(paced, done, "latency")

    def test_a_release_that_leaks_twice_as_much_is_rolled_back_by_itself(
        self, examined: ClusterStage, tmp_path: Path
    ) -> None:
        done, traffic = examined.released(LEAKY, LEAKIER, *known_face(tmp_path))
        shown(examined, done, traffic)
        assert_rolled_back(examined, done, "leak")
