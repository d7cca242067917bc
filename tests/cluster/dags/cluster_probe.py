"""Steps that end in every way a pod can end. For tests/cluster only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from masker_step import MaskerStep

QUICK: dict[str, Any] = {"retries": 0, "execution_timeout": timedelta(minutes=3)}
RETRIED: dict[str, Any] = {"retries": 1, "retry_delay": timedelta(seconds=1), "execution_timeout": timedelta(minutes=3)}

with DAG(dag_id="cluster_probe", schedule=None) as dag:
    MaskerStep(task_id="succeeds", command="data log", **QUICK)
    MaskerStep(task_id="bad_input", command="data validate", options={"dataset": "nonsense-9.9.9"}, **RETRIED)
    MaskerStep(task_id="out_of_memory", command="data log", hardware="tight", **QUICK)
    MaskerStep(task_id="hangs", command="gateway", retries=0, execution_timeout=timedelta(seconds=45))
    MaskerStep(task_id="no_such_class", command="data log", hardware="tpu", **RETRIED)
