"""
### Alert probe

Fails when a variable says so.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Variable, task

from masker_airflow import DEFAULT_ARGS, TAGS, watched

with DAG(
    dag_id="alert_probe",
    schedule=None,
    default_args={**DEFAULT_ARGS, "retries": 0},
    tags=TAGS,
    **watched(timedelta(hours=1)),
) as dag:

    @task
    def work():
        """Fail with a secret in the message, or succeed."""
        if Variable.get("alert_probe_fails", default="no") == "yes":
            raise ValueError("planted failure with token=planted-secret")

    work()
