"""Alerts: what waits to be sent by channel, and which incidents are open.

From the tables that alerts keep in the control database; before the first alert there are none.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, inspect, text

from identity_masker.monitoring.sample import Family, Sample
from identity_masker.serving.control import Control

DELIVERIES, INCIDENTS = "alert_deliveries", "alert_incidents"
BACKLOG = Family("masker_alert_deliveries_waiting", "Alerts that are not sent yet.", ("channel",))
OLDEST = Family(
    "masker_alert_deliveries_oldest_due_timestamp_seconds", "When the oldest of them was due.", ("channel",)
)
LOST = Family(
    "masker_alert_deliveries_lost", "Alerts that were refused or given up, of those remembered.", ("channel", "state")
)
OPEN = Family("masker_alert_incidents_open", "Incidents that fire.", ("area", "severity"))


class AlertsSource:
    """Reads the control database."""

    name = "alerts"
    every = 30.0
    families = (BACKLOG, OLDEST, LOST, OPEN)

    def __init__(self, control_url: str) -> None:
        self._url = control_url
        self._control: Control | None = None

    def read(self) -> Iterator[Sample]:
        if self._control is None:
            self._control = Control(self._url)
        with self._control.transaction() as connection:
            tables = set(inspect(connection).get_table_names())
            if DELIVERIES in tables:
                yield from _deliveries(connection)
            if INCIDENTS in tables:
                yield from _incidents(connection)


def _deliveries(connection: Connection) -> Iterator[Sample]:
    query = text(
        "SELECT channel, count(CASE WHEN state = 'waiting' THEN 1 END) AS waiting,"
        " min(CASE WHEN state = 'waiting' THEN due_at END) AS oldest,"
        " count(CASE WHEN state = 'refused' THEN 1 END) AS refused,"
        " count(CASE WHEN state = 'given_up' THEN 1 END) AS given_up FROM alert_deliveries GROUP BY channel"
    )
    for row in connection.execute(query):
        yield BACKLOG.sample(row.waiting, row.channel)
        yield LOST.sample(row.refused, row.channel, "refused")
        yield LOST.sample(row.given_up, row.channel, "given_up")
        if row.oldest is not None:
            yield OLDEST.sample(row.oldest, row.channel)


def _incidents(connection: Connection) -> Iterator[Sample]:
    query = text("SELECT area, severity, count(*) AS n FROM alert_incidents WHERE state = 'firing' GROUP BY 1, 2")
    for row in connection.execute(query):
        yield OPEN.sample(row.n, row.area, row.severity)
