"""DAG runs as metrics, from what Airflow's API gives; tests/integration/test_dashboards.py asks a real Airflow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from identity_masker.monitoring.sources.airflow import dag_runs

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def run(state: str, minutes_ago: float = 10) -> dict[str, Any]:
    began = NOW - timedelta(minutes=minutes_ago)
    ended = began + timedelta(minutes=1) if state in ("success", "failed") else None
    return {
        "dag_run_id": "r", "state": state,
        "start_date": None if state == "queued" else began.isoformat(),
        "end_date": ended and ended.isoformat(),
    }  # fmt: skip


def values(runs: list[dict[str, Any]]) -> dict[tuple[str, ...], float]:
    return {(sample.family.name, *sample.labels[1:]): sample.value for sample in dag_runs("d", runs, NOW)}


def test_failures_in_a_row_are_those_since_the_last_success() -> None:
    found = values(
        [run("running", 5), run("queued"), run("failed", 20), run("failed", 30), run("success"), run("failed")]
    )
    assert found["masker_dag_failures_in_a_row",] == 2
    assert found["masker_dag_last_failure_timestamp_seconds",] == (NOW - timedelta(minutes=19)).timestamp()
    assert found["masker_dag_run_running_seconds",] == 300
    assert found["masker_dag_active_runs", "queued"] == 1
    assert found["masker_dag_last_run_state", "running"] == 1
    assert found["masker_dag_last_run_state", "failed"] == 0


def test_a_dag_that_never_ran_has_no_state_and_no_failure() -> None:
    found = values([])
    assert found["masker_dag_failures_in_a_row",] == 0
    assert ("masker_dag_last_run_state", "success") not in found
    assert ("masker_dag_last_failure_timestamp_seconds",) not in found


@given(st.lists(st.sampled_from(["queued", "running", "success", "failed"]), max_size=20))
def test_failures_in_a_row_never_exceed_all_failures(states: list[str]) -> None:
    found = values([run(state) for state in states])
    assert 0 <= found["masker_dag_failures_in_a_row",] <= states.count("failed")
    assert (found["masker_dag_failures_in_a_row",] > 0) == (
        next((state for state in states if state in ("success", "failed")), "success") == "failed"
    )
