"""Requests copied to a shadow by a real gateway: nobody waits for it, and nobody gets its answer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.integration.test_gateway import World
from tests.unit.serving.support import NegativeMasker, eventually

from identity_masker.release.gateway_metrics import Snapshot, parse
from identity_masker.serving.routing import RoutingTable, Variant
from identity_masker.telemetry.events.reading import newest

PATIENCE = 30.0
LIMIT = 16


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        yield World(tmp_path, stack)


def mirrored(world: World, shadow: NegativeMasker, mirror: float = 1.0) -> None:
    """Version 1 answers, and 2 gets copies."""
    world.start("1")
    world.start("2", masker=shadow)
    lease = datetime.now(UTC) + timedelta(hours=1)
    variants = {
        "champion": Variant(version="1", semver="1.0.1", share=1.0),
        "canary": Variant(version="2", semver="1.0.2", share=0.0, mirror=mirror, lease_expires_at=lease),
    }
    world.route(RoutingTable(variants=variants))
    eventually(f"{world.base}/health/ready")
    deadline = time.monotonic() + PATIENCE
    while world.gateway.board.served() != {"1", "2"}:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    shadow.calls.clear()


def counted(world: World, pairs: int) -> Snapshot:
    """The gateway's counts once it has counted so many pairs."""
    deadline = time.monotonic() + PATIENCE
    while True:
        snapshot = parse(world.http.get("/metrics").text)
        if sum(map(sum, snapshot.mirrored.get("2", {}).values())) >= pairs:
            return snapshot
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_both_answers_to_a_copied_request_are_counted(world: World) -> None:
    shadow = NegativeMasker()
    mirrored(world, shadow)
    for number in range(6):
        answer = world.mask(**{"x-consistency-key": f"k{number}", "x-user-id": "ada"})
        assert (answer.status_code, answer.headers["x-model-version"]) == (200, "1.0.1")
    snapshot = counted(world, 6)
    assert {v: {o: sum(n) for o, n in outcomes.items()} for v, outcomes in snapshot.mirrored.items()} == {
        "1": {"ok": 6},
        "2": {"ok": 6},
    }
    assert set(snapshot.answers) == {"1"}
    assert sorted(key for call in shadow.calls for key in call) == [f"k{number}" for number in range(6)]


def test_a_shadow_that_hangs_delays_nobody_and_is_dropped_first(world: World) -> None:
    shadow = NegativeMasker()
    mirrored(world, shadow)
    shadow.gate.clear()
    try:
        assert [world.mask().status_code for _ in range(LIMIT + 5)] == [200] * (LIMIT + 5)
        dropped = world.gateway.metrics.registry.get_sample_value("masker_gateway_mirror_dropped_total")
        assert dropped is not None
        assert dropped >= 5
    finally:
        shadow.gate.set()
    counted(world, LIMIT)  # none is under way when the servers go


def test_a_shadow_that_fails_is_counted_and_felt_by_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ValueError("the fault that the test wants")

    shadow = NegativeMasker()
    mirrored(world, shadow)
    monkeypatch.setattr(shadow, "mask", fails)
    assert [world.mask().status_code for _ in range(4)] == [200] * 4
    assert {outcome: sum(n) for outcome, n in counted(world, 4).mirrored["2"].items()} == {"failed": 4}


def test_the_events_of_copies_name_no_user(world: World, tmp_path: Path) -> None:
    mirrored(world, NegativeMasker())
    for _ in range(3):
        world.mask(**{"x-user-id": "ada"})
    counted(world, 3)
    since, deadline = datetime.now(UTC) - timedelta(hours=1), time.monotonic() + PATIENCE
    while len(events := newest(world.events, str(tmp_path / "store"), "requests", since, 100)) < 6:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    by = {via: [event for event in events if event["via"] == via] for via in ("share", "shadow")}
    assert {event["request_id"] for event in by["share"]} == {event["request_id"] for event in by["shadow"]}
    assert {(event["version"], event["unit"]) for event in by["shadow"]} == {("2", "")}
    assert all(event["unit"] for event in by["share"])


def test_no_share_to_mirror_copies_nothing(world: World) -> None:
    shadow = NegativeMasker()
    mirrored(world, shadow, mirror=0.0)
    assert [world.mask().status_code for _ in range(5)] == [200] * 5
    assert shadow.calls == []
