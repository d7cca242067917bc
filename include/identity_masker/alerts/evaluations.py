"""What people hear of an experiment's evaluation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from identity_masker.alerts.alert import Alert, Severity, State

BAD = frozenset({"unhealthy", "incomplete"})
"""Decisions that somebody has to mend; they are over with the next evaluation that is neither."""

WARNINGS = BAD | {"stop_harm"}


class Evaluation(BaseModel):
    """What alerts need of the result of `masker experiments run` (`experiments.run_step.Evaluated`).

    Read from its document, so that a task of Airflow need not import the analysis.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    experiment: str
    as_of: str
    decision: str
    sentence: str
    alert: bool
    reasons: tuple[str, ...] = ()
    winner: str | None = None
    version: str | None = None
    faults: tuple[str, ...] = ()
    missing_hours: int = 0
    units: int = 0
    report: str | None = None


def alerts(evaluated: Evaluation) -> list[Alert]:
    """The alerts of an evaluation: bad data fires until an evaluation without it; a decision is told once a day."""
    name, decision = evaluated.experiment, evaluated.decision
    if decision in BAD:
        return [_alert(evaluated, "firing", f"experiment/{name}/data")] if evaluated.alert else []
    over = _alert(evaluated, "resolved", f"experiment/{name}/data")
    told = [_alert(evaluated, "notice", f"experiment/{name}")] if evaluated.alert else []
    return [over, *told]


def severity(decision: str) -> Severity:
    """A decision that harm or bad data asks for is a warning."""
    return "warning" if decision in WARNINGS else "info"


def title(evaluated: Evaluation) -> str:
    return f"experiment {evaluated.experiment}: {evaluated.decision.replace('_', ' ')}"


def _alert(evaluated: Evaluation, state: State, incident: str) -> Alert:
    facts = {
        "experiment": evaluated.experiment,
        "until": evaluated.as_of,
        "units": evaluated.units,
        "missing hours": evaluated.missing_hours,
    }
    details = {"faults": ", ".join(evaluated.faults), "winner": evaluated.winner, "version": evaluated.version}
    resolved = state == "resolved"
    return Alert(
        area="experiments",
        severity=severity(evaluated.decision),
        title=f"experiment {evaluated.experiment}: the data is in order again" if resolved else title(evaluated),
        text="" if resolved else " ".join([evaluated.sentence, *evaluated.reasons]),
        facts=facts | {key: value for key, value in details.items() if value},
        links={"report": evaluated.report} if evaluated.report else {},
        incident=incident,
        event=f"{evaluated.as_of} {evaluated.decision}" if state == "notice" else "",
        state=state,
    )
