"""`masker traffic` against a gateway with two variants."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.integration.test_gateway import World, canary, closed_port
from tests.unit.serving.support import eventually

from identity_masker.serving.traffic import TrafficOptions, send


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        made = World(tmp_path, stack)
        made.start("1")
        made.start("2")
        made.route(canary(0.3))
        eventually(f"{made.base}/health/ready")
        yield made


def test_all_requests_are_answered_and_split_as_the_table_says(world: World) -> None:
    options = TrafficOptions(url=world.base, rate=150, seconds=2, users=100_000)
    summary = asyncio.run(send(options))
    again = asyncio.run(send(options))
    assert (summary.ok, summary.failed) == (summary.requests, {})
    assert sum(summary.by_variant.values()) == summary.requests
    # Four standard deviations of a binomial with p = 0.3.
    share = summary.by_variant["canary"] / summary.requests
    assert abs(share - 0.3) < 4 * (0.3 * 0.7 / summary.requests) ** 0.5
    assert (again.requests, again.by_version) == (summary.requests, summary.by_version)
    assert summary.latency_ms["p50"] <= summary.latency_ms["p99"]


def test_no_answer_is_counted_as_failed() -> None:
    options = TrafficOptions(url=f"http://127.0.0.1:{closed_port()}", rate=50, seconds=0.5)
    summary = asyncio.run(send(options))
    assert summary.ok == 0
    assert sum(summary.failed.values()) == summary.requests > 0
