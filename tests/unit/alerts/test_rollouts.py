"""What people hear of a rollout, whoever drove it and died."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.release.world import World

from identity_masker.alerts import rollouts
from identity_masker.alerts.ledger import ledger
from identity_masker.alerts.outbox import Outbox
from identity_masker.cli.main import main
from identity_masker.release.rollout_log import RolloutLog
from identity_masker.serving.control import Control
from identity_masker.settings import settings

PROMOTED = [
    "release 1.1.0: started beside 1.0.0",
    "release 1.1.0: moves to 10 %",
    "release 1.1.0: moves to 50 %",
    "release 1.1.0: moves to 100 %",
    "release 1.1.0: gets all traffic",
    "release 1.1.0: promoted",
]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The commands' own control database and store."""
    monkeypatch.setenv("MASKER_HOME", str(tmp_path))
    settings.cache_clear()
    with Control(f"sqlite:///{tmp_path}/control.db") as control:
        yield World(tmp_path, control)
    settings.cache_clear()


def told(folder: Path) -> list[tuple[str, str]]:
    with Outbox(f"sqlite:///{folder}/control.db") as outbox:
        found = ledger(outbox, 100, all_deliveries=True).deliveries
    return [(each.incident, each.title) for each in reversed(found)]


def test_every_transition_is_told_once_by_whoever_comes_after_a_driver_that_told_none(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rollout = world.start()
    world.run()  # a driver that dies before it can tell anything
    assert told(tmp_path) == []
    for _ in range(2):
        assert main(["release", "advance", "--json"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["outcome"] == "promoted"
    assert told(tmp_path) == [(f"release/{rollout.id}", title) for title in PROMOTED]


def test_a_step_is_told_when_it_is_recorded(world: World) -> None:
    heard: list[str] = []
    world.start()
    driver = world.driver()
    driver._told = lambda rollout: heard.append(rollout.phase)
    while not world.step(driver).ended:
        pass
    assert heard[-1] == "ended"
    assert {"shifting", "soaking", "promoting"} <= set(heard)


def test_a_rollback_says_why(world: World) -> None:
    world.gateway.error_shares["2"] = 0.5
    world.start()
    world.run()
    newest = RolloutLog(world.control).newest()
    assert newest is not None
    found = rollouts.alerts(newest.rollout)
    turned, ended = found[-2:]
    assert (turned.title, turned.severity) == ("release 1.1.0: rolling back", "warning")
    assert "the canary is worse" in turned.text
    assert ended.title == "release 1.1.0: rolled back"
    assert {alert.state for alert in found} == {"notice"}
    assert len({alert.event for alert in found}) == len(found)
