from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse

from masker_step import KUBERNETES_CONNECTION, MaskerStep, has_cluster, refuse_unknown_parameters

VARIABLE = f"AIRFLOW_CONN_{KUBERNETES_CONNECTION.upper()}"


def step(**options: Any) -> MaskerStep:
    return MaskerStep(task_id="ingest", command="data ingest", options=options, execution_timeout=timedelta(minutes=1))


def test_command_and_options_become_arguments() -> None:
    assert step(config="rendered", images=7).arguments() == [
        "data",
        "ingest",
        "--config",
        "rendered",
        "--images",
        "7",
    ]


def test_operands_stand_between_the_command_and_its_options() -> None:
    named = MaskerStep(
        task_id="evaluate",
        command="experiments run",
        operands=["softer-skin"],
        options={"as-of": "2026-11-08"},
        execution_timeout=timedelta(minutes=1),
    )
    assert named.arguments() == ["experiments", "run", "softer-skin", "--as-of", "2026-11-08"]


def test_options_that_render_to_nothing_are_left_out() -> None:
    assert step(source="", images=None, seed=0).arguments() == ["data", "ingest", "--seed", "0"]


def test_value_with_spaces_stays_one_argument() -> None:
    assert step(source="/my photos; rm -rf /").arguments()[2:] == ["--source", "/my photos; rm -rf /"]


def test_step_without_a_timeout_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ingest.*execution_timeout"):
        MaskerStep(task_id="ingest", command="data ingest")


def test_a_mistyped_parameter_fails_the_run_and_names_the_right_ones() -> None:
    with pytest.raises(AirflowFailException, match="got imagez; expected images, source"):
        refuse_unknown_parameters({"imagez": 5, "source": "/faces"}, ["source", "images"])
    refuse_unknown_parameters({"images": 5}, ["source", "images"])


def test_connection_sends_steps_to_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps({"conn_type": "kubernetes"}))
    assert has_cluster()


def test_no_connection_keeps_steps_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not has_cluster()


class Supervisor:
    """Answers a task's questions as Airflow's supervisor does."""

    def __init__(self, answer: ErrorResponse, *, raises: bool) -> None:
        self.answer, self.raises = answer, raises

    def send(self, _question: Any) -> ErrorResponse:
        if self.raises:
            raise AirflowRuntimeError(self.answer)
        return self.answer


@pytest.mark.parametrize("raises", [False, True])
def test_trouble_with_the_api_server_is_not_taken_for_a_missing_cluster(
    monkeypatch: pytest.MonkeyPatch, raises: bool
) -> None:
    answer = ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 503})
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(answer, raises=raises), raising=False)
    with pytest.raises(AirflowException, match=r"cannot tell whether.*503"):
        has_cluster()


@pytest.mark.parametrize("raises", [False, True])
def test_definite_answer_is_believed(monkeypatch: pytest.MonkeyPatch, raises: bool) -> None:
    answer = ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": KUBERNETES_CONNECTION})
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(answer, raises=raises), raising=False)
    assert not has_cluster()


def test_kill_before_the_start_does_nothing() -> None:
    step().on_kill()
