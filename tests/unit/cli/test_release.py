from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.release.world import World

from identity_masker.cli.main import main
from identity_masker.serving.control import Control
from identity_masker.settings import settings


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The commands' own control database and store, in a world whose traffic is computed."""
    monkeypatch.setenv("MASKER_HOME", str(tmp_path))
    settings.cache_clear()
    with Control(f"sqlite:///{tmp_path}/control.db") as control:
        yield World(tmp_path, control)
    settings.cache_clear()


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(["release", *words, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_status_and_replay_tell_of_a_rollout_that_ended(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    rollout = world.start()
    world.run()
    capsys.readouterr()
    status = printed(capsys, "status")
    assert status["shares"] == {"1.1.0": 1.0}
    again = printed(capsys, "replay", rollout.id)
    assert again["rollout"] == rollout.id
    assert printed(capsys, "advance")["outcome"] == "promoted"


def test_approve_answers_the_question(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.start()
    capsys.readouterr()
    assert main(["release", "approve"]) == 2
    assert "asks nothing" in capsys.readouterr().err
    printed(capsys, "approve", "--question", "before_traffic", "--by", "ada")
    assert [approval.author for approval in world.rollout.approvals] == ["ada"]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status"], "there is no rollout"),
        (["status", "--rollout", "9.9.9-r9"], "no such rollout"),
        (["advance"], "there is no rollout"),
        (["replay", "9.9.9-r9"], "missing"),
        (["start", "--policy", "nope"], "no release policy"),
        (["start", "--policy", "../nope.yaml"], "no release policy"),
    ],
)
def test_what_does_not_exist_is_bad_input_in_words(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["release", *words]) == 2
    assert said in capsys.readouterr().err
