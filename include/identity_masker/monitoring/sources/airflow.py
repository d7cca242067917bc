"""DAG runs through Airflow's REST API: outcome, duration, lateness; steps, pools, health."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from identity_masker.monitoring.sample import Family, Sample, one_of
from identity_masker.settings import Settings
from identity_masker.stack.airflow_api import AirflowApi, DagState, Run
from identity_masker.stack.home import Home

STATES = ("queued", "running", "success", "failed")
COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
HEALTHY = Family("masker_airflow_healthy", "Whether a component of Airflow says that it is healthy.", ("component",))
IMPORT_ERRORS = Family("masker_airflow_import_errors", "DAG files that do not import.")
SLOTS = Family("masker_airflow_pool_slots", "Slots of a pool: total, running, queued, open.", ("pool", "state"))
PAUSED = Family("masker_dag_paused", "1 for a DAG that is paused.", ("dag",))
LAST = Family("masker_dag_last_run_state", "1 for the state of the newest run.", ("dag", "state"))
SUCCESS = Family("masker_dag_last_success_timestamp_seconds", "End of the newest run that succeeded.", ("dag",))
FAILURE = Family("masker_dag_last_failure_timestamp_seconds", "End of the newest run that failed.", ("dag",))
FAILURES = Family("masker_dag_failures_in_a_row", "Newest finished runs that failed one after the other.", ("dag",))
DURATION = Family("masker_dag_run_duration_seconds", "Duration of the newest run that succeeded.", ("dag",))
RUNNING = Family("masker_dag_run_running_seconds", "How long the longest of the present runs takes so far.", ("dag",))
ACTIVE = Family("masker_dag_active_runs", "Runs that are queued or running.", ("dag", "state"))
LATE = Family("masker_dag_late_seconds", "How long the next scheduled run is overdue.", ("dag",))
TASK = Family("masker_dag_task_duration_seconds", "Duration of a task in the newest successful run.", ("dag", "task"))


class AirflowSource:
    """Asks Airflow, as a user that may read."""

    name = "airflow"
    every = 60.0
    families = (
        HEALTHY, IMPORT_ERRORS, SLOTS, PAUSED, LAST, SUCCESS, FAILURE, FAILURES, DURATION, RUNNING, ACTIVE, LATE, TASK,
    )  # fmt: skip

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._client: AirflowApi | None = None
        self._tasks: dict[str, tuple[str, dict[str, float]]] = {}

    def read(self) -> Iterator[Sample]:
        health = self._api().healthy()
        yield from (HEALTHY.sample(health.get(part) == "healthy", part) for part in COMPONENTS)
        if not health:
            return
        yield IMPORT_ERRORS.sample(len(self._api().import_errors()))
        for pool, slots in self._api().pools().items():
            yield from (SLOTS.sample(slots[state], pool, state) for state in ("total", "running", "queued", "open"))
        for dag in self._api().dags():
            yield from self._dag(dag, datetime.now(UTC))

    def _api(self) -> AirflowApi:
        if self._client is None:
            config = self._config
            password = config.airflow_password.get_secret_value() or Home(config.home).airflow_password()
            self._client = AirflowApi(config.airflow, config.airflow_user, password)
        return self._client

    def _dag(self, dag: DagState, now: datetime) -> Iterator[Sample]:
        yield PAUSED.sample(dag.paused, dag.dag_id)
        late = (now - dag.next_run).total_seconds() if dag.next_run and not dag.paused else 0.0
        yield LATE.sample(max(0.0, late), dag.dag_id)
        found = self._api().newest_runs(dag.dag_id)
        yield from dag_runs(dag.dag_id, found, now)
        done = next((run for run in found if run["state"] == "success"), None)
        if done is not None:
            yield SUCCESS.sample(_time(done["end_date"]), dag.dag_id)
            yield DURATION.sample(_time(done["end_date"]) - _time(done["start_date"]), dag.dag_id)
            for task, seconds in self._durations(Run(dag.dag_id, done["dag_run_id"])).items():
                yield TASK.sample(seconds, dag.dag_id, task)

    def _durations(self, run: Run) -> dict[str, float]:
        """Task → seconds, the longest of its mapped instances; a run that has ended is asked about once."""
        known = self._tasks.get(run.dag_id)
        if known is None or known[0] != run.run_id:
            longest: dict[str, float] = {}
            for task in self._api().tasks(run):
                if task.state == "success":
                    longest[task.name] = max(task.seconds, longest.get(task.name, 0.0))
            self._tasks[run.dag_id] = known = (run.run_id, longest)
        return known[1]


def dag_runs(dag: str, found: list[dict[str, Any]], now: datetime) -> Iterator[Sample]:
    """What the newest runs of a DAG say; `found` as the API gives them, newest first."""
    if found:
        yield from one_of(LAST, STATES, found[0]["state"], dag)
    for state in ("queued", "running"):
        yield ACTIVE.sample(sum(run["state"] == state for run in found), dag, state)
    began = [_time(run["start_date"]) for run in found if run["state"] == "running" and run["start_date"]]
    yield RUNNING.sample(now.timestamp() - min(began) if began else 0.0, dag)
    finished = [run for run in found if run["state"] in ("success", "failed")]
    yield FAILURES.sample(next((n for n, run in enumerate(finished) if run["state"] == "success"), len(finished)), dag)
    failed = next((run for run in finished if run["state"] == "failed" and run["end_date"]), None)
    if failed is not None:
        yield FAILURE.sample(_time(failed["end_date"]), dag)


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
