"""
### Watch drift

Between the nights of `check_drift`: runs the stream detector of the deployed version over the requests of the last
quarter of an hour, and tells people when they have left the reference.

**Starts** every 15 minutes, by hand, or through the API.
**Announces** nothing: whether a training follows, the nights decide.
**When it fails**: a version without a reference needs `masker drift reference`; otherwise the log says why the events
cannot be read. The next run does not depend on this one.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, Param, task

from masker_airflow import DEFAULT_ARGS, LIGHT, STEPS_POOL, TAGS, version_param, watched
from masker_drift import told
from masker_step import MaskerStep

PARAMS = {
    "since": Param(
        "15m",
        type="string",
        pattern="^[0-9]{1,6}[mhd]$",
        title="Since",
        description="Age of the first request that is watched: 15m, 6h, 2d.",
    ),
    "version": version_param("champion", "Whose traffic: 1.2.0, a version number of MLflow, or an alias."),
}

with DAG(
    dag_id="watch_drift",
    schedule=CronTriggerTimetable("*/15 * * * *", timezone="UTC", run_immediately=timedelta(minutes=5)),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[*TAGS, "drift"],
    doc_md=__doc__,
    **watched(timedelta(minutes=14)),
) as dag:
    watch = MaskerStep(
        task_id="watch",
        command="drift watch",
        options={"model-version": "{{ params.version }}", "since": "{{ params.since }}"},
        hardware="events",
        pool=STEPS_POOL,
        execution_timeout=timedelta(minutes=10),
    )

    @task(**LIGHT)
    def alert(seen):
        """Say that the stream has left the reference, or that it is back."""
        return told(seen)

    alert(watch.output)
