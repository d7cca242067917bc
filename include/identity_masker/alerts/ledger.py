"""What the outbox holds, for people: incidents, and deliveries that wait or did not arrive."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select

from identity_masker.alerts.incidents import Incident
from identity_masker.alerts.outbox import SENT, WAITING, Outbox
from identity_masker.alerts.tables import alerts, channels, deliveries, incidents


class ShownIncident(BaseModel):
    """An incident with times that people read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    state: str
    severity: str
    area: str
    title: str
    occurrences: int
    episode: int
    opened_at: str
    last_at: str


class ShownDelivery(BaseModel):
    """One alert for one channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int
    channel: str
    state: str
    title: str
    incident: str
    attempts: int
    due_at: str
    error: str


class ShownChannel(BaseModel):
    """A channel that failed last. `again_at` is when it is tried again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    failures: int
    error: str
    again_at: str


class Ledger(BaseModel):
    """The newest of everything; `incidents` has the firing ones first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    incidents: list[ShownIncident]
    deliveries: list[ShownDelivery]
    failing: list[ShownChannel]
    counts: dict[str, int]


def ledger(outbox: Outbox, limit: int, *, all_deliveries: bool = False) -> Ledger:
    """At most `limit` incidents and deliveries: those that were not sent, or all.

    Raises `TemporaryError` when the database does not answer.
    """
    columns = deliveries.c
    shown = select(deliveries, alerts.c.document).join(alerts, alerts.c.id == columns.alert_id)
    if not all_deliveries:
        shown = shown.where(columns.state != SENT)
    firing_first = (incidents.c.state != "firing", incidents.c.last_at.desc())
    with outbox.transaction() as connection:
        newest = select(incidents).where(incidents.c.episode > 0).order_by(*firing_first).limit(limit)
        found = [Incident.model_validate(dict(row._mapping)) for row in connection.execute(newest)]
        sending = [_delivery(row) for row in connection.execute(shown.order_by(columns.id.desc()).limit(limit))]
        failing = connection.execute(select(channels).where(channels.c.failures > 0).order_by(channels.c.name)).all()
        counts = connection.execute(select(columns.state, func.count()).group_by(columns.state)).all()
    return Ledger(
        incidents=[_incident(each) for each in found],
        deliveries=sending,
        failing=[
            ShownChannel(name=row.name, failures=row.failures, error=row.error, again_at=_time(row.blocked_until))
            for row in failing
        ],
        counts={WAITING: 0, SENT: 0} | {row[0]: row[1] for row in counts},
    )


def firing(outbox: Outbox) -> dict[str, int]:
    """Severity → open incidents."""
    columns = incidents.c
    query = select(columns.severity, func.count()).where(columns.state == "firing").group_by(columns.severity)
    with outbox.transaction() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def _incident(found: Incident) -> ShownIncident:
    known = found.model_dump(exclude={"told_at", "opened_at", "last_at"})
    return ShownIncident(**known, opened_at=_time(found.opened_at), last_at=_time(found.last_at))


def _delivery(row: object) -> ShownDelivery:
    found = row._mapping  # type: ignore[attr-defined]
    known = {name: found[name] for name in ("id", "channel", "state", "incident", "attempts", "error")}
    return ShownDelivery(**known, title=found["document"]["title"], due_at=_time(found["due_at"]))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
