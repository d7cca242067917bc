"""What an alert means for its incident: is it news, a repeat, or the end? A pure function."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from identity_masker.alerts.alert import Alert, Area, Fact, Severity, State, rank

THREAD_SECONDS = 7 * 86_400.0
"""Notices further apart than this are not one thread: nobody looks for today's message under last month's."""


class Incident(BaseModel):
    """An incident as it stands. Times are seconds since 1970. `told_at`: when people last heard of it.

    `severity` is the highest of the episode. An incident that comes back after its end is its next `episode`, with a
    thread of its own.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    episode: int
    state: State
    severity: Severity
    area: Area
    title: str
    opened_at: float
    last_at: float
    told_at: float
    occurrences: int


Meaning = Literal["opened", "escalated", "again", "event", "ended", "repeat", "nothing_to_end"]
NEWS: frozenset[Meaning] = frozenset({"opened", "escalated", "again", "event", "ended"})


class Turn(NamedTuple):
    """The incident after an alert, and what the alert was."""

    incident: Incident | None
    meaning: Meaning


def turned(before: Incident | None, alert: Alert, now: float, repeat_seconds: float) -> Turn:
    """`before` (None for an unknown incident) after `alert`."""
    if alert.state == "resolved":
        return _ended(before, alert, now)
    if before is None or before.state == "resolved" or _stale(before, now):
        return Turn(_opened(before.episode + 1 if before else 1, alert, now), "opened")
    meaning = _meaning(before, alert, now, repeat_seconds)
    after = before.model_copy(
        update={
            "state": "firing" if "firing" in (before.state, alert.state) else "notice",
            "severity": max(before.severity, alert.severity, key=rank),
            "title": alert.title,
            "last_at": now,
            "told_at": now if meaning in NEWS else before.told_at,
            "occurrences": before.occurrences + 1,
        }
    )
    return Turn(after, meaning)


def told(alert: Alert, after: Incident, meaning: Meaning) -> Alert:
    """`alert` as people get it: a repeat says how often it was seen, an end how long it took."""
    more: dict[str, Fact] = {}
    if meaning in ("again", "escalated"):
        more["seen"] = f"{after.occurrences} times"
    if meaning == "ended":
        more["lasted"] = _span(after.last_at - after.opened_at)
    return alert.model_copy(update={"facts": {**alert.facts, **more}}) if more else alert


def _span(seconds: float) -> str:
    minutes = round(seconds / 60.0)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{minutes / 1440:.1f} days"


def _ended(before: Incident | None, alert: Alert, now: float) -> Turn:
    if before is None or before.state != "firing":
        return Turn(before, "nothing_to_end")
    return Turn(before.model_copy(update={"state": "resolved", "last_at": now, "told_at": now}), "ended")


def _stale(before: Incident, now: float) -> bool:
    return before.state == "notice" and now - before.last_at > THREAD_SECONDS


def _opened(episode: int, alert: Alert, now: float) -> Incident:
    return Incident(
        key=alert.incident, episode=episode, state=alert.state, severity=alert.severity, area=alert.area,
        title=alert.title, opened_at=now, last_at=now, told_at=now, occurrences=1,
    )  # fmt: skip


def _meaning(before: Incident, alert: Alert, now: float, repeat_seconds: float) -> Meaning:
    if rank(alert.severity) > rank(before.severity) or (before.state, alert.state) == ("notice", "firing"):
        return "escalated"
    if alert.event:
        return "event"
    return "again" if now - before.told_at >= repeat_seconds else "repeat"
