"""Following a chain of runs through the states that Airflow reports, one look after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from identity_masker.errors import MaskerError
from identity_masker.stack import follow
from identity_masker.stack.airflow_api import AirflowApi, Run, Task
from identity_masker.stack.follow import Finished, chain

FIRST, SECOND = Run("ingest_faces", "manual__1"), Run("train_masker", "asset__1")
Look = tuple[str, dict[str, str]]


class Looks(AirflowApi):
    """Reports each run's looks in order, the last one for ever; `started` says which run starts which."""

    def __init__(self, looks: dict[Run, list[Look]], started: dict[Run, list[Run]]) -> None:
        self.looks, self.started = looks, started

    def run_state(self, run: Run) -> str:
        return self.looks[run][0][0]

    def tasks(self, run: Run) -> list[Task]:
        rest = self.looks[run]
        _, states = rest.pop(0) if len(rest) > 1 else rest[0]
        return [Task(name, state, 1.0, 1, -1) for name, state in states.items()]

    def started_by(self, run: Run) -> list[Run]:
        return self.started.get(run, [])

    def announced(self, run: Run) -> bool:
        return run in self.started

    def active_runs(self, dag_id: str) -> int:
        return 0

    def log_tail(self, run: Run, task: Task, lines: int = 15) -> str:
        return f"the log of {run.dag_id}.{task.name}"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(follow, "HANDOVER_SECONDS", 0.05)
    return


def finished(api: AirflowApi) -> list[str]:
    events = chain(api, FIRST, ["ingest_faces", "train_masker"], timeout=30)
    return [f"{event.run.dag_id}.{event.task.name}" for event in events if isinstance(event, Finished)]


def test_every_task_is_told_once_and_in_order() -> None:
    api = Looks(
        {
            FIRST: [
                ("running", {"ingest": "running"}),
                ("running", {"ingest": "success", "validate": "running"}),
                ("success", {"ingest": "success", "validate": "success"}),
            ],
            SECOND: [("running", {"train": "deferred"}), ("success", {"train": "success"})],
        },
        {FIRST: [SECOND]},
    )
    assert finished(api) == ["ingest_faces.ingest", "ingest_faces.validate", "train_masker.train"]


def test_a_failed_task_ends_it_with_the_tasks_log() -> None:
    looks: list[Look] = [("failed", {"ingest": "success", "validate": "failed", "publish": "upstream_failed"})]
    with pytest.raises(MaskerError, match=r"ingest_faces\.validate failed.*\n.*the log of ingest_faces\.validate"):
        finished(Looks({FIRST: looks}, {}))


def test_a_run_that_decided_to_stop_ends_it_with_its_reason() -> None:
    looks: list[Look] = [("success", {"ingest": "success", "publish": "skipped"})]
    with pytest.raises(MaskerError, match=r"stopped at publish.*\n.*the log of ingest_faces\.publish"):
        finished(Looks({FIRST: looks}, {}))


def test_a_task_that_had_nothing_to_do_stops_nothing() -> None:
    first: list[Look] = [("success", {"read": "skipped", "publish": "success"})]
    api = Looks({FIRST: first, SECOND: [("success", {"train": "success"})]}, {FIRST: [SECOND]})
    assert finished(api) == ["ingest_faces.read", "ingest_faces.publish", "train_masker.train"]


def test_a_missing_next_run_is_named() -> None:
    with pytest.raises(MaskerError, match="no run of train_masker started"):
        finished(Looks({FIRST: [("success", {"publish": "success"})]}, {}))


def test_a_run_without_end_is_given_up() -> None:
    api = Looks({FIRST: [("running", {"ingest": "running"})]}, {})
    with pytest.raises(MaskerError, match="did not end in time"):
        list(chain(api, FIRST, ["ingest_faces"], timeout=0.02))
