"""The notifier with the contexts that Airflow gives it; tests/integration has it in an Airflow."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from identity_masker.alerts.ledger import ledger
from identity_masker.alerts.outbox import Outbox
from masker_notifier import MaskerNotifier, run_of

LATE = {
    "dag_run": {"dag_id": "ingest_faces", "dag_run_id": "r", "run_id": "scheduled__1"},
    "deadline": {"id": "1", "deadline_time": "2026-11-23T05:00:00Z"},
}


def context(dag: str = "ingest_faces", tags: tuple[str, ...] = (), **more: Any) -> Any:
    ti = SimpleNamespace(task_id="ingest", try_number=2, log_url="http://airflow/log")
    return {"dag": SimpleNamespace(dag_id=dag, tags=tags), "ti": ti, "run_id": "manual__1", **more}


def told(home: Path) -> list[str]:
    with Outbox(f"sqlite:///{home}/control.db") as outbox:
        return [each.title for each in reversed(ledger(outbox, 20, all_deliveries=True).deliveries)]


def test_a_retry_a_failure_and_a_success_are_one_incident(home: Path) -> None:
    for happening in ("retries", "retries", "failed", "failed", "succeeded", "succeeded"):
        MaskerNotifier(happening)(context(exception=ValueError("no such folder /home/alice")))
    assert told(home) == [
        "ingest_faces.ingest failed and is tried again",
        "ingest_faces.ingest failed",
        "ingest_faces succeeded again",
    ]


def test_a_late_run_is_told_in_the_triggerer_and_is_over_with_the_next_success(home: Path) -> None:
    async def awaited() -> None:
        await MaskerNotifier(happening="late", context=LATE)  # type: ignore[arg-type]

    asyncio.run(awaited())
    MaskerNotifier("succeeded")(context())
    assert told(home) == ["ingest_faces is late", "ingest_faces is no longer late"]


def test_the_run_the_task_and_the_error_are_known() -> None:
    run = run_of(context(exception=ValueError("boom"), tags=("masker", "serving")))
    assert (run.dag, run.run, run.task, run.try_number) == ("ingest_faces", "manual__1", "ingest", 2)
    assert (run.error, run.url, run.urgent) == ("ValueError: boom", "http://airflow/log", True)
    assert run_of(LATE).due == "2026-11-23T05:00:00Z"
    assert run_of({"dag": SimpleNamespace(dag_id="d", tags=None), "run_id": "r"}).task == ""


@pytest.mark.parametrize("broken", [{}, {"dag": None, "ti": None, "dag_run": "?"}])
def test_a_context_without_anything_raises_nothing(home: Path, broken: Any) -> None:
    MaskerNotifier("failed").notify(broken)


def test_a_database_that_does_not_answer_fails_no_task(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from identity_masker.settings import settings

    monkeypatch.setenv("MASKER_CONTROL_DB", "postgresql://u:planted@127.0.0.1:9/x")
    settings.cache_clear()
    MaskerNotifier("failed")(context())
