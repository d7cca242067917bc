"""What a release expects of any target, as tests: model servers asked for through the protocol, by real fleets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Protocol

from identity_masker.release.rollout import Side
from identity_masker.release.target import Health, Target
from identity_masker.serving.control import Control, Endpoint

SOUND, OTHER = "1", "2"


class World(Protocol):
    """A control database, a target, and a fleet that runs.

    refusing: a version that cannot load, and words of the reason; patience: seconds for a model server to come up
    """

    control: Control
    target: Target
    refusing: tuple[str, str]
    patience: float

    def kill_one(self, endpoint: Endpoint) -> None:
        """End this model server without a warning."""
        ...

    def another_fleet(self) -> AbstractContextManager[None]:
        """A second fleet of the same target beside the first, where the target allows one."""
        ...


def side(version: str, replicas: int = 1) -> Side:
    return Side(version=version, semver=f"1.0.{version}", replicas=replicas)


def scale(world: World, version: str, replicas: int) -> None:
    world.target.scale(side(version, replicas), replicas, author="test", reason="contract")


def until(world: World, version: str, true: Callable[[Health], bool], since: datetime | None = None) -> Health:
    """The health of a version once it is as wanted."""
    began, deadline = since or datetime.now(UTC), time.monotonic() + world.patience
    while not true(health := world.target.health(version, began)):
        assert time.monotonic() < deadline, (health, world.control.endpoints())
        time.sleep(0.1)
    return health


def ready(count: int) -> Callable[[Health], bool]:
    return lambda health: health.ready == count


def gone(world: World, version: str) -> None:
    deadline = time.monotonic() + world.patience
    while world.control.endpoints(version):
        assert time.monotonic() < deadline, world.control.endpoints()
        time.sleep(0.1)


def settled(world: World, versions: list[str]) -> None:
    """All model servers are of `versions`: one that two fleets made too many has drained and gone."""
    deadline = time.monotonic() + world.patience
    while [endpoint.version for endpoint in world.control.endpoints()] != versions:
        assert time.monotonic() < deadline, world.control.endpoints()
        time.sleep(0.1)


class TargetContract:
    """Inherit and give a fixture `world`."""

    def test_model_servers_come_up_are_proven_grow_shrink_and_go(self, world: World) -> None:
        scale(world, SOUND, 1)
        assert until(world, SOUND, ready(1)).wanted == 1
        scale(world, SOUND, 2)
        assert until(world, SOUND, ready(2)).wanted == 2
        scale(world, SOUND, 1)
        assert until(world, SOUND, ready(1)).wanted == 1
        world.target.remove(side(SOUND), author="test", reason="contract")
        gone(world, SOUND)
        assert world.target.health(SOUND, datetime.now(UTC)) == Health(wanted=0, ready=0)

    def test_the_same_again_changes_nothing(self, world: World) -> None:
        scale(world, SOUND, 1)
        until(world, SOUND, ready(1))
        (before,) = world.control.endpoints(SOUND)
        for _ in range(3):
            scale(world, SOUND, 1)
        until(world, SOUND, ready(1))
        (after,) = world.control.endpoints(SOUND)
        assert (after.url, after.pid, after.restarts) == (before.url, before.pid, before.restarts)
        for _ in range(2):
            world.target.remove(side(SOUND), author="test", reason="contract")
        world.target.remove(side(OTHER), author="test", reason="never asked for")
        gone(world, SOUND)

    def test_a_version_that_cannot_load_is_refused_with_its_reason(self, world: World) -> None:
        since = datetime.now(UTC)
        version, words = world.refusing
        scale(world, version, 1)
        health = until(world, version, lambda health: bool(health.refused), since)
        assert health.ready == 0
        assert words in health.refused
        world.target.remove(side(version), author="test", reason="contract")
        gone(world, version)

    def test_a_model_server_that_is_killed_comes_back(self, world: World) -> None:
        scale(world, SOUND, 1)
        until(world, SOUND, ready(1))
        (before,) = world.control.endpoints(SOUND)
        world.kill_one(before)

        def replaced(_: Health) -> bool:
            return any(e.state == "ready" and e.pid != before.pid for e in world.control.endpoints(SOUND))

        until(world, SOUND, replaced)
        until(world, SOUND, ready(1))

    def test_two_drivers_at_once_do_no_harm(self, world: World) -> None:
        def drive() -> None:
            for _ in range(5):
                scale(world, SOUND, 2)
                scale(world, OTHER, 1)

        drivers = [threading.Thread(target=drive) for _ in range(2)]
        with world.another_fleet():
            for driver in drivers:
                driver.start()
            for driver in drivers:
                driver.join()
            until(world, SOUND, ready(2))
            until(world, OTHER, ready(1))
            settled(world, [SOUND, SOUND, OTHER])
