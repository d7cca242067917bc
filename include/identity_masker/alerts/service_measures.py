"""Metrics of the alert service."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from identity_masker.alerts import ledger, queue
from identity_masker.alerts.alert import Alert, Severity
from identity_masker.alerts.delivery import Delivered
from identity_masker.alerts.outbox import Outbox, Written


class ServiceMeasures:
    """What was taken in and sent, what waits and for how long, and what fires."""

    def __init__(self, registry: CollectorRegistry, channels: Iterable[str]) -> None:
        self._taken = Counter(
            "masker_alerts_taken", "Alerts that were posted to the service.", ["area", "meaning"], registry=registry
        )
        self._sent = Counter(
            "masker_alerts_sent", "Alerts by channel and outcome.", ["channel", "outcome"], registry=registry
        )
        self._waiting = Gauge("masker_alerts_waiting", "Alerts that wait, by channel.", ["channel"], registry=registry)
        self._overdue = Gauge(
            "masker_alerts_overdue_seconds", "How long the oldest alert is overdue.", ["channel"], registry=registry
        )
        self._firing = Gauge("masker_alerts_firing", "Open incidents.", ["severity"], registry=registry)
        self._channels = tuple(channels)

    def took(self, alert: Alert, written: Written) -> None:
        self._taken.labels(alert.area, written.meaning).inc()

    def delivered(self, done: Delivered) -> None:
        for channel, count in done.sent.items():
            self._sent.labels(channel, "sent").inc(count)
        for channel, count in done.refused.items():
            self._sent.labels(channel, "refused").inc(count)
        for channel in done.failed:
            self._sent.labels(channel, "failed").inc()

    def look(self, outbox: Outbox) -> None:
        """Read the gauges from the database. Raises `TemporaryError` when it does not answer."""
        found, now = queue.waiting(outbox), time.time()
        for channel in {*self._channels, *found}:
            count, due_at = found.get(channel, (0, now))
            self._waiting.labels(channel).set(count)
            self._overdue.labels(channel).set(max(0.0, now - due_at))
        firing = ledger.firing(outbox)
        for severity in get_args(Severity):
            self._firing.labels(severity).set(firing.get(severity, 0))
