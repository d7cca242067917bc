"""What a request waits for at most, whatever the feature store does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from identity_masker.serving.characteristics import Characteristics, strength


class World:
    def __init__(self, look_up: Callable[[str], Mapping[str, object]], **options: float) -> None:
        self.registry = CollectorRegistry()
        self.known = Characteristics(look_up, self.registry, **options)

    def counted(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("masker_gateway_characteristics_total", {"outcome": outcome})


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_a_known_user_is_asked_for_once_a_minute() -> None:
    asked: list[str] = []

    def look_up(unit: str) -> Mapping[str, object]:
        asked.append(unit)
        return {"plan": "pro"} if unit == "a" else {}

    async def work() -> None:
        world = World(look_up, deadline=5.0)
        assert [await world.known.of(unit) for unit in "aab"] == [{"plan": "pro"}, {"plan": "pro"}, {}]
        assert (world.counted("found"), world.counted("remembered"), world.counted("unknown")) == (1, 1, 1)
        world.known.close()

    run(work())
    assert asked == ["a", "b"]


def test_a_slow_store_costs_the_deadline_and_its_late_answer_is_kept() -> None:
    answer = threading.Event()

    def look_up(_: str) -> Mapping[str, object]:
        answer.wait(10)
        return {"plan": "pro"}

    async def work() -> None:
        world = World(look_up, deadline=0.02)
        assert await world.known.of("a") == {}
        answer.set()
        while world.known._waiting:
            await asyncio.sleep(0.01)
        assert await world.known.of("a") == {"plan": "pro"}
        assert (world.counted("late"), world.counted("remembered")) == (1, 1)
        world.known.close()

    run(work())


def test_a_store_that_is_down_is_left_alone_for_a_while() -> None:
    calls = 0

    def look_up(_: str) -> Mapping[str, object]:
        nonlocal calls
        calls += 1
        raise ConnectionError("no route")

    async def work() -> None:
        world = World(look_up, deadline=5.0)
        assert [await world.known.of(f"user-{n}") for n in range(20)] == [{}] * 20
        assert (world.counted("failed"), world.counted("skipped")) == (5, 15)
        world.known.close()

    run(work())
    assert calls == 5


def test_a_crowd_before_a_stuck_store_does_not_queue_up() -> None:
    answer = threading.Event()

    def look_up(_: str) -> Mapping[str, object]:
        answer.wait(10)
        return {}

    async def work() -> None:
        world = World(look_up, deadline=0.2)
        found = await asyncio.gather(*(world.known.of(f"user-{n}") for n in range(100)))
        answer.set()
        assert found == [{}] * 100
        assert world.counted("skipped") == 68
        world.known.close()

    run(work())


@pytest.mark.parametrize(
    ("known", "expected"),
    [({"masking_strength": 0.5}, 0.5), ({"masking_strength": 1}, 1.0), ({"masking_strength": 2.0}, None), ({}, None),
     ({"masking_strength": "much"}, None), ({"masking_strength": float("nan")}, None)],
)  # fmt: skip
def test_only_a_strength_that_is_one_is_passed_on(known: Mapping[str, object], expected: float | None) -> None:
    assert strength(known) == expected
