"""Releases judged by what the examiner says, and releases that no user meets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.release.world import World, policy

from identity_masker.release.policy import Policy
from identity_masker.release.rollout_replay import replay
from identity_masker.serving.control import Control

LEAK = {"kind": "mean", "margin": 1.5, "noise": {"sd": 0.1}}
ERRORS = {"kind": "share", "margin": 2.0, "negligible": 0.01, "weight": 3.0}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Control(f"sqlite:///{tmp_path}/control.db") as control:
        made = World(tmp_path, control)
        made.gateway.examiner = "abc"
        yield made


def judged_by_leak(**changes: Any) -> Policy:
    return policy(metrics={"errors": ERRORS, "leak": {**LEAK, **changes}})


def shadow(then: str = "stop", **changes: Any) -> Policy:
    section = {"mirror_share": 0.2, "seconds": 60, "then": then}
    return policy(strategy="shadow", shadow=section, metrics={"errors": ERRORS, "leak": LEAK}, **changes)


def test_a_doubled_leak_is_rolled_back(world: World) -> None:
    world.gateway.leaks["2"] = 0.2
    world.start(judged_by_leak())
    done = world.run()
    assert done.outcome == "rolled_back"
    assert "leak" in " ".join(done.reasons)
    assert max(world.shares()) < 1.0


def test_the_same_leak_is_promoted(world: World) -> None:
    world.start(judged_by_leak())
    assert world.run().outcome == "promoted"


def test_without_an_examiner_a_required_leak_holds(world: World) -> None:
    world.gateway.examiner = ""
    rollout = world.start(judged_by_leak())
    done = world.run(lambda progress: progress.looks == 20)
    assert (done.verdict, done.outcome) == ("hold", None)
    assert "no leak" in " ".join(done.reasons)
    assert replay(rollout.id, world.store).last.verdict == "hold"


def test_without_an_examiner_a_leak_that_is_not_required_does_not_matter(world: World) -> None:
    world.gateway.examiner = ""
    world.start(judged_by_leak(required=False))
    assert world.run().outcome == "promoted"


def test_another_examiner_in_between_counts_from_zero(world: World) -> None:
    world.start(judged_by_leak())
    world.run(lambda progress: progress.looks == 2)
    world.gateway.examiner = "def"
    world.gateway._quality.clear()
    assert world.run().outcome == "promoted"


def test_a_shadow_gets_copies_and_no_user(world: World) -> None:
    rollout = world.start(shadow())
    world.run(lambda progress: progress.looks == 2)
    (canary,) = [variant for variant in world.table.variants.values() if variant.version == "2"]
    assert (canary.share, canary.mirror) == (0.0, 0.2)
    assert {world.answered_by(f"user-{number}") for number in range(50)} == {"1"}
    done = world.run()
    assert (done.outcome, done.stages) == ("passed", ("mirror 20 %",))
    assert set(world.shares()) == {0.0}
    assert list(world.table.variants) == ["champion"]
    assert world.deployed() == {"1": 1}
    assert world.registry.aliases == {"champion": "1", "challenger": "2"}
    assert world.registry.tags["2"]["release_outcome"] == "passed"
    assert len(replay(rollout.id, world.store).looks) == done.looks


def test_a_shadow_that_leaks_is_withdrawn(world: World) -> None:
    world.gateway.leaks["2"] = 0.2
    world.start(shadow())
    done = world.run()
    assert (done.outcome, set(world.shares())) == ("rolled_back", {0.0})
    assert "challenger" not in world.registry.aliases


def test_a_shadow_that_fails_is_withdrawn(world: World) -> None:
    world.gateway.error_shares["2"] = 0.1
    world.start(shadow())
    assert world.run().outcome == "rolled_back"


def test_a_shadow_may_be_promoted_at_once(world: World) -> None:
    world.start(shadow(then="promote"))
    assert world.run().outcome == "promoted"
    assert world.shares() == [0.0, 1.0]
    assert world.registry.aliases["champion"] == "2"
