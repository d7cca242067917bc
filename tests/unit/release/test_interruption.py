"""A driver that dies at any point: before or after each of its effects, and before or after each record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.release.world import World

from identity_masker.release.looks import Looks
from identity_masker.release.rollout_log import RolloutLog
from identity_masker.serving.control import Control

EFFECTS = (
    (Control, "write_routing"),
    (Control, "deploy"),
    (RolloutLog, "write"),
    (Looks, "keep_policy"),
    (Looks, "keep"),
)
NAMES = ("name_champion", "withdraw", "note")


class Killed(BaseException):
    pass


class Fate:
    """Kills at the given moment; moments are counted before and after each effect."""

    def __init__(self, at: int) -> None:
        self.at, self.moment = at, 0

    def pass_by(self) -> None:
        self.moment += 1
        if self.moment == self.at:
            raise Killed

    def wrap(self, effect: Callable[..., Any]) -> Callable[..., Any]:
        def fatal(*arguments: Any, **more: Any) -> Any:
            self.pass_by()
            result = effect(*arguments, **more)
            self.pass_by()
            return result

        return fatal


def lives(folder: Path, errors: float, monkeypatch: pytest.MonkeyPatch, at: int) -> tuple[World, int]:
    """One whole rollout with a driver that dies once; the moments that passed."""
    fate = Fate(at)
    with Control(f"sqlite:///{folder}/control.db") as control:
        world = World(folder, control)
        world.gateway.error_shares["2"] = errors
        world.start()
        with monkeypatch.context() as patch:
            for owner, name in EFFECTS:
                patch.setattr(owner, name, fate.wrap(getattr(owner, name)))
            for name in NAMES:
                patch.setattr(world.registry, name, fate.wrap(getattr(world.registry, name)))
            for _ in range(2):
                try:
                    world.run()
                    break
                except Killed:
                    continue
        world.control = control
        return world, fate.moment


@pytest.mark.parametrize("errors", [0.001, 0.2], ids=["healthy", "broken"])
def test_the_end_is_the_same_wherever_the_driver_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: float
) -> None:
    def end(at: int) -> tuple[object, ...]:
        folder = tmp_path / str(at)
        folder.mkdir()
        with Control(f"sqlite:///{folder}/control.db") as control:
            world, passed = lives(folder, errors, monkeypatch, at)
            world.control = control
            looks = [look.verdict.verdict for look in Looks(world.store, world.rollout.id).all()]
            state = (
                world.rollout.outcome,
                world.table.model_copy(update={"salt": ""}),
                dict(world.registry.aliases),
                world.deployed(),
                world.shares(),
                looks,
                [event.what.split(":")[0] for event in world.rollout.events],
            )
            return state, passed

    expected, moments = end(at=0)
    assert moments > 20
    for at in range(1, moments + 1):
        assert end(at)[0] == expected, f"died at moment {at} of {moments}"
