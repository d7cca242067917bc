"""The one door: `notify(alert)` tells people, and never raises."""

from __future__ import annotations

from collections.abc import Iterable

from identity_masker.alerts.alert import Alert
from identity_masker.alerts.channels import log as log_channel
from identity_masker.alerts.desk import Desk, Notified
from identity_masker.alerts.scrub import scrubbed
from identity_masker.settings import settings

LOGGED = "logged"


def notify(alert: Alert) -> Notified:
    """Write the alert down and send it. Where that is impossible it goes to the log, with the reason."""
    return notify_all([alert])[0]


def notify_all(alerts: Iterable[Alert]) -> list[Notified]:
    """As `notify`, each alert in turn."""
    given = list(alerts)
    try:
        config = settings()
        with Desk.of(config) as desk:
            return [_told(desk, _of_run(alert, config.correlation_id)) for alert in given]
    except Exception as error:  # who reports trouble must not get more of it
        return [_logged(alert, error) for alert in given]


def _of_run(alert: Alert, run: str) -> Alert:
    """`alert` with the DAG run that this process works for, where it names none itself."""
    return alert if alert.correlation_id or not run else alert.model_copy(update={"correlation_id": run})


def _told(desk: Desk, alert: Alert) -> Notified:
    try:
        return desk.notify(alert)
    except Exception as error:
        return _logged(alert, error)


def _logged(alert: Alert, error: Exception) -> Notified:
    log_channel.write(alert, outbox_failed=scrubbed(f"{type(error).__name__}: {error}"))
    return Notified(meaning=LOGGED, channels=("log",))
