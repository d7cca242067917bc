"""
### Keep house

Moves what the servers appended to the event log into Parquet files by hour, which drift, experiments and release read,
and marks the hours that are whole. Then the statistics of sources over these hours come into the feature store, and
what is new of sources and users comes online.

**Starts** five minutes past every hour, by hand, or through the API.
**Announces** nothing: readers ask the store which hours are missing.
**When it fails**: nothing is lost; the next run takes up what this one left. The log of `compact` has the reason; while
it fails, the servers keep events until their log is full (`masker_event_log_dropped_total`).
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from masker_airflow import DEFAULT_ARGS, STEPS_POOL, TAGS, watched
from masker_step import MaskerStep

with DAG(
    dag_id="keep_house",
    # Two minutes after its end an hour is whole, and segments are sealed every minute.
    schedule=CronTriggerTimetable("5 * * * *", timezone="UTC", run_immediately=timedelta(minutes=5)),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags=[*TAGS, "operations"],
    doc_md=__doc__,
    **watched(timedelta(minutes=55)),
) as dag:
    compact = MaskerStep(
        task_id="compact",
        command="events compact",
        hardware="events",
        pool=STEPS_POOL,
        execution_timeout=timedelta(minutes=40),
    )

    collect = MaskerStep(
        task_id="collect",
        command="features collect",
        pool=STEPS_POOL,
        execution_timeout=timedelta(minutes=20),
    )

    materialize = MaskerStep(
        task_id="materialize",
        command="features materialize",
        pool=STEPS_POOL,
        execution_timeout=timedelta(minutes=20),
    )

    compact >> collect >> materialize
