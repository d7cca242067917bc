from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from airflow.sdk.exceptions import AirflowException, TaskDeferred

from masker_floors import process
from masker_rollout import RolloutStage, champion

PROGRESS = {"ended": False, "position": 1, "question": "", "wait_seconds": 40.0, "doing": "soaking"}


@pytest.fixture
def masker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in place of `masker`: it leaves the JSON of `progress` as its result and notes its arguments."""
    program = tmp_path / "masker"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\ncp {tmp_path}/progress "$MASKER_RESULT"\n')
    program.chmod(0o755)
    monkeypatch.setattr(process, "masker", lambda: str(program))
    return tmp_path


def execute(folder: Path, stage: int | None, **changes: Any) -> dict[str, Any]:
    (folder / "progress").write_text(json.dumps({**PROGRESS, **changes}))
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="stage", map_index=0, try_number=1)
    return RolloutStage(task_id="stage", stage=stage).execute({"ti": ti})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(("stage", "changes"), [(0, {}), (1, {"position": 2}), (None, {"ended": True})])
def test_a_stage_that_is_over_gives_its_progress(masker: Path, stage: int | None, changes: dict[str, Any]) -> None:
    assert execute(masker, stage, **changes) == {**PROGRESS, **changes}
    until = "" if stage is None else f" --until-stage {stage}"
    assert (masker / "arguments").read_text().strip() == f"release advance --for 8{until}"


@pytest.mark.parametrize("stage", [1, 2, None])
def test_while_there_is_nothing_to_do_no_worker_slot_is_held(masker: Path, stage: int | None) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        execute(masker, stage)
    assert deferred.value.method_name == "execute"
    _, arguments = deferred.value.trigger.serialize()
    assert arguments["moment"] > datetime.now(UTC)


class Routing(BaseHTTPRequestHandler):
    answer: ClassVar[tuple[int, dict[str, Any]]]

    def do_GET(self) -> None:
        status, document = self.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *_: object) -> None:
        return


def connect(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    connection = {"conn_type": "http", "host": "127.0.0.1", "schema": "http", "port": port}
    monkeypatch.setenv("AIRFLOW_CONN_MASKER_GATEWAY", json.dumps(connection))


@pytest.fixture
def _gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Routing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connect(monkeypatch, server.server_port)
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("_gateway")
def test_the_champion_is_the_version_that_has_the_traffic() -> None:
    Routing.answer = (200, {"champion": "champion", "variants": {"champion": {"version": "7"}}})
    assert champion("masker_gateway") == "7"


@pytest.mark.usefixtures("_gateway")
def test_before_the_first_deployment_there_is_none() -> None:
    Routing.answer = (503, {"reason": "no_model"})
    assert champion("masker_gateway") is None


@pytest.mark.usefixtures("_gateway")
def test_a_gateway_that_does_not_know_is_asked_again() -> None:
    Routing.answer = (503, {"reason": "not_ready"})
    with pytest.raises(AirflowException, match="cannot tell"):
        champion("masker_gateway")


def test_a_gateway_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        connect(monkeypatch, probe.getsockname()[1])
        with pytest.raises(AirflowException, match="does not answer"):
            champion("masker_gateway")
