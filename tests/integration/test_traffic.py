"""`masker traffic` against a gateway with two variants."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.integration.test_gateway import World, canary, closed_port
from tests.unit.serving.support import eventually

from identity_masker.serving.traffic import TrafficOptions, send
from identity_masker.serving.traffic_mix import drawn, visits


@pytest.fixture(scope="module")
def faces() -> list[bytes]:
    return drawn(12, seed=0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        made = World(tmp_path, stack)
        made.start("1")
        made.start("2")
        made.route(canary(0.3))
        eventually(f"{made.base}/health/ready")
        yield made


def test_all_requests_are_answered_and_split_as_the_table_says(faces: list[bytes], world: World) -> None:
    options = TrafficOptions(url=world.base, rate=100, seconds=2, users=100_000)
    summary = asyncio.run(send(options, faces))
    again = asyncio.run(send(options, faces))
    assert (summary.ok, summary.failed) == (summary.requests, {})
    assert sum(summary.by_variant.values()) == summary.requests
    # Users, not requests, are split: those who come often weigh more, so the share is less exact than a binomial one.
    assert 0.1 < summary.by_variant["canary"] / summary.requests < 0.5
    assert (again.requests, again.by_version) == (summary.requests, summary.by_version)
    assert summary.latency_ms["p50"] <= summary.latency_ms["p99"]


def test_no_answer_is_counted_as_failed(faces: list[bytes]) -> None:
    options = TrafficOptions(url=f"http://127.0.0.1:{closed_port()}", rate=50, seconds=0.5)
    summary = asyncio.run(send(options, faces))
    assert summary.ok == 0
    assert sum(summary.failed.values()) == summary.requests > 0


def test_broken_pictures_are_refused_and_outcomes_are_told(faces: list[bytes], world: World) -> None:
    summary = asyncio.run(send(TrafficOptions(url=world.base, rate=60, seconds=2, bad=0.2, seed=3), faces))
    assert summary.failed == {}
    assert summary.ok + summary.refused == summary.requests
    assert summary.refused > 5
    assert summary.outcomes > 0


def test_the_same_seed_plans_the_same_visits_and_another_one_does_not(faces: list[bytes]) -> None:
    first, again, other = (list(visits(50, 4, 1000, bad=0.1, seed=seed, pictures=faces)) for seed in (1, 1, 2))
    assert first == again != other
    assert [visit.due for visit in first] == sorted(visit.due for visit in first)
    users = Counter(visit.user for visit in first)
    assert users.most_common(1)[0][1] > 3
    assert len(users) > len(first) / 4
    assert len({visit.body[:4] for visit in first}) > 1  # formats
    sound = [visit.sound for visit in first]
    assert 0 < sound.count(False) < len(sound) / 3
