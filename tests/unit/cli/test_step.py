from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from identity_masker.cli.main import main
from identity_masker.cli.step import finish
from identity_masker.settings import settings


class Result(BaseModel):
    n: int


@pytest.fixture
def as_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment that the operator gives a step; the path of its result file."""
    for name, value in {"DAG_ID": "d", "RUN_ID": "r", "TASK_ID": "t"}.items():
        monkeypatch.setenv(f"MASKER_STEP_{name}", value)
    monkeypatch.setenv("MASKER_HOME", str(tmp_path))
    monkeypatch.setenv("MASKER_RESULT", str(tmp_path / "return.json"))
    settings.cache_clear()
    return tmp_path / "return.json"


def test_result_is_written_and_stored_under_the_key_of_the_task(as_step: Path, tmp_path: Path) -> None:
    finish(Result(n=3))
    assert json.loads(as_step.read_text()) == {"n": 3}
    assert json.loads((tmp_path / "store/results/d/r/t/-1/1.json").read_text()) == {"n": 3}


def test_json_goes_to_stdout_alone(capsys: pytest.CaptureFixture[str]) -> None:
    settings.cache_clear()
    finish(Result(n=3), as_json=True)
    assert json.loads(capsys.readouterr().out) == {"n": 3}


def test_failure_leaves_its_reason_as_the_result(as_step: Path) -> None:
    assert main(["up", "--conf", "[1]"]) == 2
    document = json.loads(as_step.read_text())
    assert document["status"] == "failed"
    assert "not a JSON object" in document["reason"]


def test_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    settings.cache_clear()
    assert main(["nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    settings.cache_clear()
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in ("data", "train", "evaluate", "register", "deploy", "mask", "serve", "fleet", "gateway", "doctor"):
        assert f"  {name} " in shown
