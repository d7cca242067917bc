"""Blue-green and rolling under real traffic, for any target."""

from __future__ import annotations

from typing import Any

from tests.integration.test_release import ERRORS, Stage, load
from tests.unit.release.world import policy

from identity_masker.release.policy import Policy
from identity_masker.release.progress import Progress
from identity_masker.release.rollout_log import RolloutLog
from identity_masker.release.target import Health
from identity_masker.serving.deploy import DeployOptions, deploy

CANDIDATE = "2"


def quick(**changes: Any) -> Policy:
    """A policy that is over in seconds once its model servers are up."""
    given = {"metrics": {"errors": ERRORS}, "minimum": {"requests": 100, "intervals": 3}, **changes}
    return policy(interval_seconds=2, lease_seconds=12, ready_seconds=400, **given)


BLUE_GREEN = quick(
    strategy="blue_green", blue_green={"preflight_share": 0.2, "preflight_seconds": 4, "keep_warm_seconds": 3}
)
ROLLING = quick(
    strategy="rolling", rolling={"max_surge": 1, "max_unavailable": 0, "batches": [0.5, 0.5], "soak_seconds": 4}
)


def assert_promoted(stage: Stage, done: Progress) -> None:
    assert done.outcome == "promoted", done
    assert stage.shares() == {CANDIDATE: 1.0}
    assert stage.registry.aliases == {"champion": CANDIDATE, "previous": "1"}
    assert [d.version for d in stage.control.deployments()] == [CANDIDATE]


class StrategyDrills:
    """Inherit and give a fixture `stage`."""

    def test_blue_green_switches_at_once_without_a_failed_request(self, stage: Stage) -> None:
        with load(stage.base, rate=30) as traffic:
            stage.start(CANDIDATE, BLUE_GREEN)
            done = stage.drive(600)
        assert_promoted(stage, done)
        assert traffic.failed == 0
        print(f"\n{traffic.sent} requests, {traffic.failed} failed, {done.looks} looks")

    def test_rolling_replaces_replica_by_replica_without_a_failed_request(self, stage: Stage) -> None:
        deploy(DeployOptions(reference="1", author="test", replicas=2, timeout=400), stage.registry, stage.control)
        counts: list[tuple[Health, Health]] = []
        with load(stage.base, rate=30) as traffic:
            stage.start(CANDIDATE, ROLLING)
            driver = stage.driver()
            while not (done := driver.drive(0.0)).ended:
                counts.append(self.health(stage))
        assert_promoted(stage, done)
        assert traffic.failed == 0
        assert max(candidate.wanted + champion.wanted for candidate, champion in counts) <= 3
        assert {(1, 2), (1, 1)} <= {(candidate.wanted, champion.wanted) for candidate, champion in counts}
        print(f"\n{traffic.sent} requests, {traffic.failed} failed, {done.looks} looks")

    def health(self, stage: Stage) -> tuple[Health, Health]:
        newest = RolloutLog(stage.control).newest()
        assert newest is not None
        since, target = newest.rollout.phase_since, stage.target
        return target.health(CANDIDATE, since), target.health("1", since)
