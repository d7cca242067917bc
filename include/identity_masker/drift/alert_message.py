"""What people hear of a night: one message, or none. Whoever sends alerts takes `alert` of the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from identity_masker.drift.night_record import Training
from identity_masker.drift.verdict import Outcome, Verdict
from identity_masker.drift.window import Collected

SHOWN = 8
WORDS: dict[Outcome, str] = {
    "drift": "drift in", "schema_changed": "other columns in", "no_drift": "no more drift in",
    "not_enough_data": "too little of",
}  # fmt: skip


class Alert(BaseModel):
    """As `masker alerts send --file` takes it. `incident` is the same for all nights of a version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    area: Literal["drift"] = "drift"
    incident: str
    state: Literal["firing", "resolved"]
    severity: Literal["info", "warning", "critical"]
    title: str
    text: str
    facts: dict[str, str]
    links: dict[str, str] = {}


def alert_of(
    window: Collected, outcome: Outcome, verdict: Verdict, training: Training, before: Outcome | None
) -> Alert | None:
    """The alert of a window, None for silence; `before` is the outcome of the night before, if there was one.

    Drift and changed columns are told, and once that they are over; too little data is not.
    """
    drifted = [column.name for column in verdict.columns if column.drift]
    facts = {
        "model version": window.semver or window.version,
        "window": f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC",
        "pictures": str(window.pictures),
        "missing hours": f"{len(window.missing_hours)} of {window.hours}",
    }
    title = f"{WORDS[outcome]} the traffic of version {facts['model version']}"
    if outcome in ("drift", "schema_changed"):
        facts |= {"columns": _listed(drifted), "training": training.reason}
        return _message(
            window, "firing", "warning", f"{title}: {_listed(drifted) or 'columns'}", verdict.reasons, facts
        )
    if outcome == "no_drift" and before in ("drift", "schema_changed"):
        return _message(window, "resolved", "info", title, verdict.reasons, facts)
    return None


def _message(
    window: Collected,
    state: Literal["firing", "resolved"],
    severity: Literal["info", "warning"],
    title: str,
    reasons: Sequence[str],
    facts: dict[str, str],
) -> Alert:
    text = "\n".join([*reasons[:SHOWN], *([f"{len(reasons) - SHOWN} more"] if len(reasons) > SHOWN else [])])
    incident = f"drift/{window.version}"
    return Alert(incident=incident, state=state, severity=severity, title=title, text=text, facts=facts)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
