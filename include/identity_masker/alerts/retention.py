"""What the outbox forgets, so that it does not grow for ever."""

from __future__ import annotations

from sqlalchemy import delete, exists, select

from identity_masker.alerts.outbox import ANONYMOUS, WAITING, Outbox
from identity_masker.alerts.tables import alerts, deliveries, incidents, threads

KEPT_DAYS = 90.0
KEPT_EVENT_DAYS = 400.0
"""An event is remembered longer: who sends it again must not have it told again."""

_DAY = 86_400.0


def forget(outbox: Outbox, now: float) -> None:
    """Remove deliveries that are done, their alerts, and incidents that do not fire, once they are old.

    `now` in seconds since 1970. Raises `TemporaryError` when the database does not answer.
    """
    old, very_old = now - KEPT_DAYS * _DAY, now - KEPT_EVENT_DAYS * _DAY
    in_use = exists(select(deliveries.c.id).where(deliveries.c.alert_id == alerts.c.id))
    anonymous = alerts.c.event.startswith(ANONYMOUS) & (alerts.c.at < old)
    known = exists(select(incidents.c.key).where(incidents.c.key == threads.c.incident))
    with outbox.transaction() as connection:
        connection.execute(delete(deliveries).where(deliveries.c.state != WAITING, deliveries.c.created_at < old))
        connection.execute(delete(alerts).where(~in_use, anonymous | (alerts.c.at < very_old)))
        connection.execute(delete(incidents).where(incidents.c.state != "firing", incidents.c.last_at < old))
        connection.execute(delete(threads).where(~known))
