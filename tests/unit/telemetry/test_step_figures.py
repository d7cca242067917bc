"""What steps used, without a Pushgateway; with a real one: tests/integration/test_step_figures.py."""

from __future__ import annotations

import os
import time

import pytest
from structlog.testing import CapturingLogger

from identity_masker.cli.main import main
from identity_masker.settings import StepIdentity, settings
from identity_masker.telemetry import step_figures
from identity_masker.telemetry.step_figures import Figures, measured

STEP = StepIdentity(dag_id="d", run_id="r", task_id="t")


def test_the_figures_are_those_of_this_process() -> None:
    busy, until = 0, time.process_time() + 0.05
    while time.process_time() < until:
        busy += 1
    found = measured(time.monotonic() - 2.0, 75)
    assert 2.0 <= found.seconds < 60.0
    assert found.cpu_seconds >= 0.05
    assert 10e6 < found.peak_memory < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert found.exit_code == 75


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://127.0.0.1:no port", "nowhere"])
def test_a_pushgateway_that_cannot_be_reached_is_logged(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(step_figures, "log", log)
    step_figures.push(url, STEP, Figures(1.0, 1.0, 1, 0))
    assert [call.args for call in log.calls] == [("step_figures_not_pushed",)]


@pytest.mark.parametrize(("name", "pushes"), [("MASKER_PUSHGATEWAY_URL", 0), ("MASKER_STEP_DAG_ID", 0), ("", 1)])
def test_only_steps_of_dags_push_and_only_where_to_is_set(
    name: str, pushes: int, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pushed: list[Figures] = []
    monkeypatch.setattr(step_figures, "push", lambda _url, _step, figures: pushed.append(figures))
    given = {"MASKER_PUSHGATEWAY_URL": "http://127.0.0.1:9", "MASKER_HOME": str(tmp_path_factory.mktemp("home"))}
    for variable, value in {**given, **{f"MASKER_STEP_{each}_ID": "x" for each in ("DAG", "RUN", "TASK")}}.items():
        if variable != name:
            monkeypatch.setenv(variable, value)
    settings.cache_clear()
    assert main(["events", "show", "--kind", "nothing"]) == 2
    settings.cache_clear()
    assert [figures.exit_code for figures in pushed] == [2] * pushes
