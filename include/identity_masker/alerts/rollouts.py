"""What people hear of a rollout: read from its stored events, so that none is lost with the process that made it."""

from __future__ import annotations

from typing import NamedTuple

from identity_masker.alerts.alert import Alert, Fact, Severity, shortened
from identity_masker.release.rollout import Event, Rollout


class _Kind(NamedTuple):
    begins: str
    severity: Severity
    says: str


# Beginnings of `Event.what`, as release/ writes them. `{}` is the rest.
KINDS = (
    _Kind("started", "info", "release {semver}: started beside {champion}"),
    _Kind("asks: ", "warning", "release {semver}: waits for a person ({rest})"),
    _Kind("rolling back: ", "warning", "release {semver}: rolling back"),
    _Kind("rolled back", "warning", "release {semver}: rolled back"),
    _Kind("promoting", "info", "release {semver}: gets all traffic"),
    _Kind("promoted", "info", "release {semver}: promoted"),
    _Kind("again to ", "warning", "release {semver}: stage begins anew"),
    _Kind("to ", "info", "release {semver}: moves to {rest}"),
)


def alerts(rollout: Rollout) -> list[Alert]:
    """An alert for each transition so far, in order; the same transition always has the same event."""
    found = [_alert(rollout, event) for event in rollout.events]
    return [alert for alert in found if alert is not None]


def _alert(rollout: Rollout, event: Event) -> Alert | None:
    kind = next((kind for kind in KINDS if event.what.startswith(kind.begins)), None)
    if kind is None:
        return None
    rest = event.what.removeprefix(kind.begins)
    title = kind.says.format(semver=rollout.candidate.semver, champion=rollout.champion.semver, rest=rest)
    return Alert(
        area="release",
        severity=kind.severity,
        title=title,
        text=_text(rollout, kind, rest),
        facts=_facts(rollout),
        incident=f"release/{rollout.id}",
        event=f"{event.at.isoformat()} {shortened(event.what, 120)}",
        state="notice",
        time=event.at,
        correlation_id=rollout.key,
    )


def _text(rollout: Rollout, kind: _Kind, rest: str) -> str:
    if kind.begins == "asks: ":
        return f"It goes on when somebody says yes: masker release approve --question {rest!r}, or the task in Airflow."
    if kind.begins == "rolled back":
        return f"All traffic is with {rollout.champion.semver} again. {rollout.why}"
    if kind.begins == "started":
        return f"Policy {rollout.policy_name}: {', '.join(stage.name for stage in rollout.stages)}."
    return rest if kind.begins in ("rolling back: ", "again to ") else ""


def _facts(rollout: Rollout) -> dict[str, Fact]:
    return {
        "candidate": rollout.candidate.semver,
        "champion": rollout.champion.semver,
        "policy": rollout.policy_name,
        "started by": rollout.author,
    }
