"""The part of the outbox that hands alerts out: one sender a channel, in order, under a lease."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, or_, select, text, update

from identity_masker.alerts.alert import Alert
from identity_masker.alerts.outbox import GIVEN_UP, REFUSED, SENT, WAITING, Outbox, alert_of
from identity_masker.alerts.tables import alerts, channels, deliveries, threads

MAX_BUNDLE = 50
"""More alerts than this are several messages: no channel takes longer ones."""

_ADD_CHANNEL = text(
    "INSERT INTO alert_channels (name, owner, lease_until, blocked_until, failures, error)"
    " VALUES (:name, '', 0, 0, 0, '') ON CONFLICT DO NOTHING"
)


class Item(NamedTuple):
    """One alert to send, and the reference of its incident's thread on this channel, if there is one."""

    delivery: int
    episode: int
    alert: Alert
    thread: str | None
    created_at: float


class Queue:
    """What waits for one channel. Every change names `owner`: who has lost the lease changes nothing any more."""

    def __init__(self, outbox: Outbox, channel: str, owner: str, lease_seconds: float) -> None:
        self._outbox = outbox
        self._channel = channel
        self._owner = owner
        self._lease_seconds = lease_seconds

    def is_due(self, now: float) -> bool:
        """Whether something could be sent now: due, and the channel is not to be left alone."""
        columns = channels.c
        with self._outbox.transaction() as connection:
            if not connection.execute(self._due(now).limit(1)).first():
                return False
            blocked = select(columns.name).where(columns.name == self._channel, columns.blocked_until > now)
            return connection.execute(blocked).first() is None

    def claim(self, now: float) -> bool:
        """Become the one sender of the channel, or stay it for another lease; False when somebody else is."""
        columns = channels.c
        free = or_(columns.owner.in_(("", self._owner)), columns.lease_until <= now)
        with self._outbox.transaction() as connection:
            connection.execute(_ADD_CHANNEL, {"name": self._channel})
            claimed = connection.execute(
                update(channels)
                .where(columns.name == self._channel, columns.blocked_until <= now, free)
                .values(owner=self._owner, lease_until=now + self._lease_seconds)
            )
        return claimed.rowcount == 1

    def release(self) -> None:
        columns = channels.c
        with self._outbox.transaction() as connection:
            ours = update(channels).where(columns.name == self._channel, columns.owner == self._owner)
            connection.execute(ours.values(owner="", lease_until=0.0))

    def next(self, now: float) -> list[Item]:
        """The alerts of the next message: the first that is due, and those that wait in the same bundle."""
        columns = deliveries.c
        with self._outbox.transaction() as connection:
            first = connection.execute(self._due(now).order_by(columns.id).limit(1)).first()
            if first is None:
                return []
            query = select(deliveries, alerts.c.document).join(alerts, alerts.c.id == columns.alert_id)
            if first.bundle:
                query = query.where(
                    columns.state == WAITING, columns.channel == self._channel, columns.bundle == first.bundle
                )
            else:
                query = query.where(columns.id == first.id)
            rows = connection.execute(query.order_by(columns.id).limit(MAX_BUNDLE)).all()
            return [self._item(connection, row) for row in rows]

    def sent(self, items: Sequence[Item], reference: str | None, now: float) -> bool:
        """Record that a message went out as `reference`; False when the lease was lost meanwhile."""
        with self._outbox.transaction() as connection:
            if not self._ours(connection, blocked_until=0.0, failures=0, error=""):
                return False
            self._settle(connection, items, SENT, sent_at=now, error="")
            for item in items if reference else ():
                if item.thread is None:
                    self._remember(connection, item, str(reference))
        return True

    def failed(self, items: Sequence[Item], error: str, blocked_until: float) -> bool:
        """Record that the channel did not take the message, and leave it alone until `blocked_until`."""
        failures = channels.c.failures + 1
        with self._outbox.transaction() as connection:
            if not self._ours(connection, blocked_until=blocked_until, failures=failures, error=error):
                return False
            self._settle(connection, items, WAITING, error=error)
        return True

    def failures(self) -> int:
        """How often in a row the channel failed."""
        with self._outbox.transaction() as connection:
            query = select(channels.c.failures).where(channels.c.name == self._channel)
            return connection.execute(query).scalar() or 0

    def refused(self, items: Sequence[Item], error: str) -> bool:
        """Record that the channel will never take this message."""
        with self._outbox.transaction() as connection:
            if not self._ours(connection, failures=0):
                return False
            self._settle(connection, items, REFUSED, error=error)
        return True

    def _due(self, now: float) -> Any:
        columns = deliveries.c
        query = select(columns.id, columns.bundle)
        return query.where(columns.state == WAITING, columns.channel == self._channel, columns.due_at <= now)

    def _ours(self, connection: Connection, **values: object) -> bool:
        columns = channels.c
        ours = update(channels).where(columns.name == self._channel, columns.owner == self._owner)
        return connection.execute(ours.values(**values)).rowcount == 1

    def _settle(self, connection: Connection, items: Sequence[Item], state: str, **values: object) -> None:
        columns = deliveries.c
        these = update(deliveries).where(columns.id.in_([item.delivery for item in items]))
        connection.execute(these.values(state=state, attempts=columns.attempts + 1, **values))

    def _item(self, connection: Connection, row: Any) -> Item:
        columns = threads.c
        query = select(columns.reference).where(
            columns.channel == self._channel, columns.incident == row.incident, columns.episode == row.episode
        )
        return Item(row.id, row.episode, alert_of(row), connection.execute(query).scalar(), row.created_at)

    def _remember(self, connection: Connection, item: Item, reference: str) -> None:
        columns = threads.c
        key = {"channel": self._channel, "incident": item.alert.incident, "episode": item.episode}
        same = (columns.channel == key["channel"]) & (columns.incident == key["incident"])
        connection.execute(delete(threads).where(same & (columns.episode == item.episode)))
        connection.execute(insert(threads), {**key, "reference": reference})


def give_up(outbox: Outbox, before: float) -> list[tuple[str, Alert]]:
    """Take what was written before that time and still waits out of the queue: (channel, alert) of each."""
    columns = deliveries.c
    old = select(columns.id, columns.channel, alerts.c.document).join(alerts, alerts.c.id == columns.alert_id)
    with outbox.transaction() as connection:
        # due_at too: what quiet hours hold back is not what a channel failed to take.
        late = (columns.state == WAITING) & (columns.created_at < before) & (columns.due_at < before)
        rows = connection.execute(old.where(late)).all()
        taken = []
        for row in rows:
            one = update(deliveries).where(columns.id == row.id, columns.state == WAITING)
            if connection.execute(one.values(state=GIVEN_UP)).rowcount:
                taken.append((row.channel, alert_of(row)))
    return taken


def waiting(outbox: Outbox) -> dict[str, tuple[int, float]]:
    """Channel → how many deliveries wait, and when the first of them was due (seconds since 1970)."""
    columns = deliveries.c
    query = select(columns.channel, func.count(), func.min(columns.due_at)).where(columns.state == WAITING)
    with outbox.transaction() as connection:
        return {row[0]: (row[1], row[2]) for row in connection.execute(query.group_by(columns.channel))}
