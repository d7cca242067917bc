"""What people hear of a DAG: a task that is tried again, one that failed for good, a late run, and the recovery."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from identity_masker.alerts.alert import Alert, Area, Severity, State, shortened

Happening = Literal["failed", "retries", "late", "succeeded"]


class Run(BaseModel):
    """The DAG run that something happened in; `task` is empty when it is about the whole run.

    `urgent`: the DAG changes what users are served.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dag: str
    run: str
    task: str = ""
    try_number: int = 0
    error: str = ""
    url: str = ""
    due: str = ""
    area: Area = "pipeline"
    urgent: bool = False


def alerts(happening: Happening, run: Run) -> list[Alert]:
    """The alerts of it. A DAG is one incident, over with its next run that succeeds; lateness is another."""
    broken, late = f"airflow/{shortened(run.dag, 150)}", f"airflow/{shortened(run.dag, 150)}/late"
    task = f"{run.dag}.{run.task}"
    if happening == "failed":
        severity: Severity = "critical" if run.urgent else "warning"
        return [_alert(run, broken, "firing", severity, f"{task} failed")]
    if happening == "retries":
        return [_alert(run, broken, "notice", "warning", f"{task} failed and is tried again")]
    if happening == "late":
        return [_alert(run, late, "firing", "warning", f"{run.dag} is late")]
    return [
        _alert(run, broken, "resolved", "info", f"{run.dag} succeeded again"),
        _alert(run, late, "resolved", "info", f"{run.dag} is no longer late"),
    ]


def _alert(run: Run, incident: str, state: State, severity: Severity, title: str) -> Alert:
    details = {"dag": run.dag, "task": run.task, "try": run.try_number, "due": run.due}
    return Alert(
        area=run.area,
        severity=severity,
        title=title,
        text=run.error,
        facts={name: value for name, value in details.items() if value},
        links={"log": run.url} if run.url else {},
        incident=incident,
        state=state,
        correlation_id=run.run,
    )
