"""Alerts of Prometheus: the body that Alertmanager posts to a webhook (version 4)."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from identity_masker.alerts.alert import MAX_FACTS, Alert, Area, Severity, shortened
from identity_masker.alerts.scrub import scheme
from identity_masker.documents import words
from identity_masker.errors import BadInputError

SEVERITY: dict[str, Severity] = {
    "info": "info", "none": "info", "notice": "info", "warning": "warning", "ticket": "warning",
    "error": "critical", "critical": "critical", "page": "critical", "emergency": "critical",
}  # fmt: skip
"""The label `severity`, as rules of others spell it; anything else is a warning."""

AREAS: tuple[str, ...] = get_args(Area)
_SAID_ELSEWHERE = frozenset({"alertname", "severity", "area"})


class _Body(BaseModel):
    # Alertmanager adds fields from version to version.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Instance(_Body):
    """One alert: a rule with one set of labels."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: AwareDatetime  # noqa: N815 - the names of the format
    endsAt: AwareDatetime | None = None  # noqa: N815
    generatorURL: str = ""  # noqa: N815
    fingerprint: str = ""


class Payload(_Body):
    """What Alertmanager posts: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config."""

    version: Literal["4"]
    groupKey: str = ""  # noqa: N815
    externalURL: str = ""  # noqa: N815
    alerts: tuple[Instance, ...] = Field(max_length=10_000)


def read(body: bytes) -> list[Alert]:
    """The alerts of a body. Raises `BadInputError` for one that is not Alertmanager's version 4."""
    try:
        payload = Payload.model_validate_json(body)
        return [_alert(instance, payload.externalURL) for instance in payload.alerts]
    except ValidationError as error:
        raise BadInputError("this is not a webhook body of Alertmanager, version 4", got=words(error)) from error


def _alert(instance: Instance, manager: str) -> Alert:
    labels, notes = instance.labels, instance.annotations
    name = _line(labels.get("alertname", "")) or "alert without a name"
    resolved = instance.status == "resolved"
    told = {key: value for key, value in labels.items() if key not in _SAID_ELSEWHERE}
    area: Any = labels["area"] if labels.get("area") in AREAS else "infrastructure"
    return Alert(
        area=area,
        severity=SEVERITY.get(labels.get("severity", ""), "warning"),
        title=_line(notes.get("summary", "")) or name,
        text=notes.get("description") or notes.get("message") or "",
        facts=dict(sorted({"rule": name, **told}.items())[:MAX_FACTS]),
        links=_links(instance, manager),
        incident=f"prometheus/{shortened(name, 100)}/{_fingerprint(instance)}",
        state="resolved" if resolved else "firing",
        time=(instance.endsAt if resolved and instance.endsAt else instance.startsAt),
    )


def _links(instance: Instance, manager: str) -> dict[str, str]:
    notes = instance.annotations
    found = {
        "runbook": notes.get("runbook_url", ""),
        "dashboard": notes.get("dashboard_url", "") or notes.get("dashboard", ""),
        "query": instance.generatorURL,
        "Alertmanager": manager,
    }
    return {name: url for name, url in found.items() if scheme(url) in ("http", "https")}


def _line(text: str) -> str:
    return " ".join(text.split())


def _fingerprint(instance: Instance) -> str:
    """Alertmanager's own, 16 hex digits; made of the labels where it is missing."""
    if re.fullmatch(r"[0-9a-f]{1,64}", instance.fingerprint):
        return instance.fingerprint
    labels = instance.labels
    return hashlib.sha256("\0".join(f"{k}={v}" for k, v in sorted(labels.items())).encode()).hexdigest()[:16]
