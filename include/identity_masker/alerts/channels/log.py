"""The log: where alerts go when there is nothing else, or nothing else takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from identity_masker.alerts.alert import Alert
from identity_masker.alerts.message import Message
from identity_masker.telemetry import logs

log = logs.logger(__name__)


class LogChannel:
    """One log line an alert."""

    def send(self, message: Message) -> None:
        for alert in message.alerts:
            write(alert)


def write(alert: Alert, **more: object) -> None:
    """Write an alert to the log at the level of its severity. Never raises."""
    with suppress(Exception):  # the last resort itself: there is nowhere else to say it
        _level(alert)(
            "alert",
            area=alert.area,
            severity=alert.severity,
            state=alert.state,
            title=alert.title,
            text=alert.text,
            incident=alert.incident,
            facts=dict(alert.facts),
            links=dict(alert.links),
            run_or_request=alert.correlation_id,
            **more,
        )


def _level(alert: Alert) -> Callable[..., object]:
    levels: Mapping[str, Callable[..., object]] = {"info": log.info, "warning": log.warning, "critical": log.error}
    return log.info if alert.state == "resolved" else levels[alert.severity]
