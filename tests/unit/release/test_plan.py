from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.release.world import policy

from identity_masker.errors import BadInputError
from identity_masker.release import plan
from identity_masker.release.policy import load_policy
from identity_masker.settings import PROJECT

SHIPPED = sorted((PROJECT / "include" / "config" / "release").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_policies_are_valid_and_rise(path: Path) -> None:
    found = load_policy(path)
    shares = [stage.share for stage in plan.stages(found)]
    assert shares == sorted(shares)
    assert [stage.mirrored for stage in plan.stages(found)] == [found.strategy == "shadow"] * len(shares)


def test_a_stage_is_full_when_the_candidate_gets_everything() -> None:
    canary = policy()
    assert [plan.is_full(canary, stage) for stage in range(4)] == [False, False, True, True]
    assert plan.is_full(policy(strategy="blue_green", blue_green={}), 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"canary": {"steps": [{"share": 0.5, "soak_seconds": 1}, {"share": 0.2, "soak_seconds": 1}]}}, "must rise"),
        ({"canary": {"steps": [{"share": 0.5, "soak_seconds": 1}]}}, "last step must have share 1.0"),
        ({"canary": {"steps": [{"share": 1.0, "champion": 0.5, "soak_seconds": 1}]}}, "sum to 1.5"),
        ({"strategy": "rolling", "rolling": {"batches": [0.5]}}, "batches must sum to 1"),
        ({"strategy": "rolling", "rolling": {"max_surge": 0, "max_unavailable": 0}}, "no replica could ever"),
        ({"strategy": "blue_green", "blue_green": None}, "needs the section blue_green"),
        ({"lease_seconds": 5}, "longer than interval_seconds"),
        ({"metrics": {"errors": {"kind": "share", "margin": 0.5}}}, "above 1"),
        ({"metrics": {"x": {"kind": "mean", "margin": 2, "negligible": 0.1}}}, "negligible is for shares"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_a_bad_policy_is_refused_with_the_reason(changes: dict[str, object], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        policy(**changes)
