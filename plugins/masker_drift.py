"""Tells people of drift."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

log = logging.getLogger(__name__)


def told(judged: Mapping[str, Any]) -> dict[str, Any]:
    """Send the alert of a verdict or of a look at the stream; the alert with what became of it as `told`.

    Further nights of the same drift are repeats, which are not told again at once. Raises `AirflowSkipException` when
    there is nothing that somebody has to know.
    """
    alert = judged["alert"]
    if alert is None:
        raise AirflowSkipException(f"nothing to tell: {str(judged.get('verdict', 'no alarm')).replace('_', ' ')}")
    from identity_masker.alerts.alert import parsed
    from identity_masker.alerts.notify import notify

    became = notify(parsed(alert)).meaning
    level = logging.INFO if alert["severity"] == "info" else logging.WARNING
    log.log(level, "%s. %s Report: %s. Alert: %s", alert["title"], alert["text"], judged.get("report", "none"), became)
    return {**alert, "told": became}
