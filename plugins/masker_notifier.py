"""Tells people what happens to a DAG run; used on every DAG through masker_airflow."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

if TYPE_CHECKING:
    from airflow.sdk import Context

    from identity_masker.alerts.pipelines import Happening, Run

URGENT_TAG = "serving"
log = logging.getLogger(__name__)


class MaskerNotifier(BaseNotifier):
    """Send the alerts of `happening`: a task `failed` for good or `retries`, a run is `late` or has `succeeded`.

    Works where Airflow calls it: in the task's process, in the DAG processor, and awaited in the triggerer. Never
    raises: an alert that cannot be written down is in the log.
    """

    def __init__(self, happening: Happening = "failed", context: Context | None = None) -> None:
        super().__init__(context)
        self.happening = happening

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """There are none. Airflow's own fails on the DAG that `dags test` hands over (apache/airflow#64649)."""

    def notify(self, context: Context) -> None:
        try:
            from identity_masker.alerts import pipelines
            from identity_masker.alerts.notify import notify_all

            told = notify_all(pipelines.alerts(self.happening, run_of(context)))
            log.info("alert %s: %s", self.happening, ", ".join(each.meaning for each in told))
        except Exception:
            log.exception("the alert that a run %s could not be made", self.happening)

    async def async_notify(self, context: Context) -> None:
        await asyncio.to_thread(self.notify, context)


def run_of(context: Any) -> Run:
    """The run that a callback is about. The triggerer knows it as a plain document, without a DAG and a task."""
    from identity_masker.alerts.pipelines import Run

    ti, dag, dag_run = context.get("ti"), context.get("dag"), context.get("dag_run")
    known = dag_run if isinstance(dag_run, dict) else {}
    error = context.get("exception")
    return Run(
        dag=dag.dag_id if dag is not None else str(known.get("dag_id", "unknown")),
        run=str(context.get("run_id") or known.get("run_id") or getattr(dag_run, "run_id", "")),
        task=ti.task_id if ti is not None else "",
        try_number=(getattr(ti, "try_number", 0) or 0) if ti is not None else 0,
        error=f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error or ""),
        url=str(getattr(ti, "log_url", "") or ""),
        due=str((context.get("deadline") or {}).get("deadline_time", "")),
        urgent=dag is not None and URGENT_TAG in (dag.tags or ()),
    )
