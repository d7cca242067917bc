"""The client against an HTTP server that answers as Airflow does when things go wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from identity_masker.errors import BadInputError, NotFoundError, TemporaryError
from identity_masker.stack import airflow_api
from identity_masker.stack.airflow_api import AirflowApi, Run

RUN = Run("ingest_faces", "manual__1")
STATE = "GET /api/v2/dags/ingest_faces/dagRuns/manual__1"
TRIGGER = "POST /api/v2/dags/ingest_faces/dagRuns"


class Script(ThreadingHTTPServer):
    """Answers in the order in which they were given, the last one for ever; notes what was asked with which token."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[tuple[int, object]]] = {}
        self.asked: list[tuple[str, str]] = []
        self.tokens = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def count(self, what: str) -> int:
        return sum(asked == what for asked, _ in self.asked)


class Handler(BaseHTTPRequestHandler):
    server: Script

    def _answer(self) -> None:
        what = f"{self.command} {self.path.split('?')[0]}"
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append((what, self.headers.get("authorization", "")))
        if what == "POST /auth/token":
            self.server.tokens += 1
            status, body = 201, {"access_token": f"t{self.server.tokens}"}
        else:
            answers = self.server.answers[what]
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    monkeypatch.setattr(airflow_api.time, "sleep", lambda _seconds: None)
    server = Script()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def api(airflow: Script) -> Iterator[AirflowApi]:
    client = AirflowApi(airflow.url, "admin", "secret")
    yield client
    client.close()


def test_an_expired_token_is_renewed(airflow: Script, api: AirflowApi) -> None:
    airflow.answers[STATE] = [(200, {"state": "running"}), (401, {}), (200, {"state": "success"})]
    assert [api.run_state(RUN), api.run_state(RUN)] == ["running", "success"]
    assert airflow.asked[-1] == (STATE, "Bearer t2")


def test_reading_is_repeated_when_the_database_is_busy(airflow: Script, api: AirflowApi) -> None:
    airflow.answers[STATE] = [(500, {"detail": "database is locked"}), (503, {}), (200, {"state": "success"})]
    assert api.run_state(RUN) == "success"


def test_reading_ends_with_airflows_words(airflow: Script, api: AirflowApi) -> None:
    airflow.answers[STATE] = [(500, {"detail": "database is locked"})]
    with pytest.raises(TemporaryError, match="database is locked"):
        api.run_state(RUN)
    assert airflow.count(STATE) == airflow_api.READ_ATTEMPTS


def test_a_trigger_is_never_repeated(airflow: Script, api: AirflowApi) -> None:
    airflow.answers[TRIGGER] = [(500, {"detail": "no"})]
    with pytest.raises(TemporaryError):
        api.trigger("ingest_faces", {})
    assert airflow.count(TRIGGER) == 1


def test_a_refused_parameter_is_bad_input_with_the_reason(airflow: Script, api: AirflowApi) -> None:
    airflow.answers[TRIGGER] = [(400, {"detail": "'many' is not of type 'integer'"})]
    with pytest.raises(BadInputError, match="'many' is not of type 'integer'"):
        api.trigger("ingest_faces", {"images": "many"})


def test_an_unknown_run_is_not_found(airflow: Script, api: AirflowApi) -> None:
    airflow.answers[STATE] = [(404, {"detail": "?"})]
    with pytest.raises(NotFoundError, match="manual__1"):
        api.run_state(RUN)


def test_runs_that_airflow_cannot_tell_yet_are_none(airflow: Script, api: AirflowApi) -> None:
    made = {"dag_id": "train_masker", "run_id": "asset__1"}
    events = {"asset_events": [{"created_dagruns": [made]}, {"created_dagruns": [made]}]}
    airflow.answers["GET /api/v2/assets/events"] = [(500, {}), (200, events)]
    assert api.started_by(RUN) == []
    assert api.started_by(RUN) == [Run("train_masker", "asset__1")]


def test_nobody_there_is_a_temporary_error_that_names_the_address(
    airflow: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(airflow_api.time, "sleep", lambda _seconds: None)
    nobody = AirflowApi("http://127.0.0.1:9", "admin", "secret")
    try:
        assert nobody.healthy() == {}
        with pytest.raises(TemporaryError, match=r"127\.0\.0\.1:9"):
            nobody.run_state(RUN)
    finally:
        nobody.close()


def test_the_newest_success_is_among_the_newest_runs_however_many_failed_since(
    airflow: Script, api: AirflowApi
) -> None:
    path = "GET /api/v2/dags/ingest_faces/dagRuns"
    failed, success = {"state": "failed"}, {"state": "success"}
    airflow.answers[path] = [(200, {"dag_runs": [failed] * 3}), (200, {"dag_runs": [success]})]
    assert api.newest_runs("ingest_faces", limit=3) == [failed] * 3 + [success]
    assert airflow.count(path) == 2
    airflow.answers[path] = [(200, {"dag_runs": [failed, success, failed]})]
    assert len(api.newest_runs("ingest_faces", limit=3)) == 3
    assert airflow.count(path) == 3


def test_a_dag_without_a_schedule_by_time_has_no_next_run(airflow: Script, api: AirflowApi) -> None:
    rows = [
        {"dag_id": "a", "is_paused": True, "next_dagrun_run_after": None},
        {"dag_id": "b", "is_paused": False, "next_dagrun_run_after": "2026-11-23T12:05:00Z"},
    ]
    airflow.answers["GET /api/v2/dags"] = [(200, {"dags": rows})]
    found = api.dags()
    assert [(dag.dag_id, dag.paused, dag.next_run is None) for dag in found] == [("a", True, True), ("b", False, False)]
