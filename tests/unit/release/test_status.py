from __future__ import annotations

import io

import pytest
from rich.console import Console
from tests.unit.release.world import World

from identity_masker.errors import NotFoundError
from identity_masker.release.status import shown, status


def seen(world: World) -> str:
    stream = io.StringIO()
    Console(file=stream, width=200).print(shown(status(world.control, world.store, world.moment)))
    return stream.getvalue()


def test_a_person_can_follow_a_rollout(world: World) -> None:
    world.start()
    assert "no look yet" in seen(world)
    world.run(lambda progress: progress.stage == 1 and progress.phase == "soaking" and progress.wait_seconds > 1)
    found = status(world.control, world.store, world.moment)
    assert found.shares == {"1.0.0": 0.5, "1.1.0": 0.5}
    assert found.lease_seconds is not None
    assert 0 < found.lease_seconds <= 30
    assert found.judged is not None
    text = seen(world)
    for words in ("stage 2 of 3", "1.1.0 50.0%", "s left", "latency_p95", "errors", "at 50 %", found.evidence):
        assert words in text, words
    world.run()
    assert "promoted:" in seen(world)
    earlier = status(world.control, world.store, world.moment, rollout=found.progress.rollout)
    assert earlier.progress.ended


def test_without_a_rollout_it_says_how_to_start_one(world: World) -> None:
    with pytest.raises(NotFoundError, match="masker release start"):
        status(world.control, world.store, world.moment)
