"""
### Late probe

Takes longer than it says.
"""

from __future__ import annotations

import time
from datetime import timedelta

from airflow.sdk import DAG, task

from masker_airflow import DEFAULT_ARGS, TAGS, watched

with DAG(
    dag_id="late_probe",
    schedule=None,
    default_args={**DEFAULT_ARGS, "retries": 0},
    tags=TAGS,
    **watched(timedelta(seconds=1)),
) as dag:

    @task
    def work():
        """Be at work when the deadline is looked at."""
        time.sleep(30)

    work()
