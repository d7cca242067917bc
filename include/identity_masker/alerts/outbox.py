"""Alerts that were written down and not sent yet, in the control database: written first, sent afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from identity_masker.alerts.alert import Alert
from identity_masker.alerts.incidents import NEWS, Incident, Meaning, told, turned
from identity_masker.alerts.tables import alerts, deliveries, incidents
from identity_masker.serving import schema

WAITING, SENT, REFUSED, GIVEN_UP = "waiting", "sent", "refused", "given_up"
KNOWN = "known"
ANONYMOUS = "~"
"""Begins the stored event of an alert that has none."""

_CLAIM_INCIDENT = text(
    "INSERT INTO alert_incidents (key, episode, state, severity, area, title, opened_at, last_at, told_at, occurrences)"
    " VALUES (:key, 0, 'resolved', 'info', 'pipeline', '', 0, 0, 0, 0) ON CONFLICT DO NOTHING"
)


class Posting(NamedTuple):
    """That an alert goes to `channel` at `due_at` (seconds since 1970), with the others of its `bundle`."""

    channel: str
    due_at: float
    bundle: str


class Written(NamedTuple):
    """An alert as it was written down. `known`: the same event was written before."""

    meaning: Meaning | str
    postings: tuple[Posting, ...]
    delivery_ids: tuple[int, ...]


Plan = Callable[[Incident, Meaning, Sequence[str]], Sequence[Posting]]
"""Where an alert goes: (incident after it, what it was, channels that heard of the episode) → postings."""


class Outbox:
    """The part of the outbox that takes alerts in. Safe to use from several threads and processes."""

    def __init__(self, url: str) -> None:
        """Raises `BadInputError` for a wrong URL, `TemporaryError` when the database does not answer."""
        self.engine = schema.open_engine(url)

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Raises `TemporaryError` when the database does not answer."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise schema.unreachable(self.engine, error) from error

    def write(self, alert: Alert, now: float, repeat_seconds: float, plan: Plan) -> Written:
        """Write the alert, its incident and its deliveries down, all or nothing.

        Raises `TemporaryError` when the database does not answer.
        """
        # Both come often, after each good run and each step of a rollout: not worth a write.
        if alert.state == "resolved" and not self._fires(alert.incident):
            return Written("nothing_to_end", (), ())
        if alert.event and self._known(alert):
            return Written(KNOWN, (), ())
        with self.transaction() as connection:
            # A write before the read: on SQLite it takes the lock that a later write would be refused.
            connection.execute(_CLAIM_INCIDENT, {"key": alert.incident})
            before = _incident(connection, alert.incident)
            if alert.event and _is_known(connection, alert):
                return Written(KNOWN, (), ())  # the incident's row is locked: nobody writes it from here on
            after, meaning = turned(before, alert, now, repeat_seconds)
            if after is None or meaning == "nothing_to_end":
                return Written(meaning, (), ())
            _store(connection, after)
            if meaning not in NEWS:
                return Written(meaning, (), ())
            number = _add(connection, told(alert, after, meaning), now)
            heard = _heard(connection, after) if meaning == "ended" else ()
            postings = tuple(plan(after, meaning, heard))
            ids = tuple(_post(connection, number, after, posting, now) for posting in postings)
        return Written(meaning, postings, ids)

    def incident(self, key: str) -> Incident | None:
        with self.transaction() as connection:
            return _incident(connection, key, lock=False)

    def _known(self, alert: Alert) -> bool:
        with self.transaction() as connection:
            return _is_known(connection, alert)

    def _fires(self, key: str) -> bool:
        with self.transaction() as connection:
            state = connection.execute(select(incidents.c.state).where(incidents.c.key == key)).scalar()
        return state == "firing"


def _incident(connection: Connection, key: str, *, lock: bool = True) -> Incident | None:
    query = select(incidents).where(incidents.c.key == key)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return Incident.model_validate(dict(row._mapping)) if row is not None and row.episode else None


def _is_known(connection: Connection, alert: Alert) -> bool:
    same = select(alerts.c.id).where(alerts.c.incident == alert.incident, alerts.c.event == alert.event)
    return connection.execute(same).first() is not None


def _add(connection: Connection, alert: Alert, now: float) -> int:
    """The alert's number."""
    event = alert.event or f"{ANONYMOUS}{uuid.uuid4().hex}"
    row = {"incident": alert.incident, "event": event, "document": alert.model_dump(mode="json"), "at": now}
    return int(connection.execute(insert(alerts).returning(alerts.c.id), row).scalar_one())


def _store(connection: Connection, incident: Incident) -> None:
    values = incident.model_dump(exclude={"key"})
    connection.execute(update(incidents).where(incidents.c.key == incident.key).values(**values))


def _heard(connection: Connection, incident: Incident) -> tuple[str, ...]:
    """The channels that an earlier alert of this episode went or goes to."""
    query = select(deliveries.c.channel).distinct()
    query = query.where(deliveries.c.incident == incident.key, deliveries.c.episode == incident.episode)
    return tuple(connection.execute(query.order_by(deliveries.c.channel)).scalars())


def _post(connection: Connection, alert: int, incident: Incident, posting: Posting, now: float) -> int:
    due = posting.due_at
    if posting.bundle:
        # The first of a bundle says when it goes: later ones must not push it back.
        columns = deliveries.c
        query = select(func.min(columns.due_at)).where(
            columns.state == WAITING, columns.channel == posting.channel, columns.bundle == posting.bundle
        )
        due = min(due, connection.execute(query).scalar() or due)
    else:
        _release_earlier(connection, incident, posting)
    row = {
        "alert_id": alert, "incident": incident.key, "episode": incident.episode, "channel": posting.channel,
        "bundle": posting.bundle, "due_at": due, "state": WAITING, "attempts": 0, "error": "", "created_at": now,
    }  # fmt: skip
    return int(connection.execute(insert(deliveries).returning(deliveries.c.id), row).scalar_one())


def _release_earlier(connection: Connection, incident: Incident, posting: Posting) -> None:
    """Let what is gathered of the incident go ahead of `posting`: a thread is read from its beginning."""
    columns = deliveries.c
    earlier = update(deliveries).where(
        columns.state == WAITING, columns.channel == posting.channel, columns.incident == incident.key
    )
    connection.execute(earlier.where(columns.bundle != "").values(bundle="", due_at=posting.due_at))


def alert_of(row: Any) -> Alert:
    """The alert of a row that has its `document`."""
    return Alert.model_validate(row.document)
