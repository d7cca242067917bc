"""What people hear of drift. The seam for alerts: who sends them, reads this task's result."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

log = logging.getLogger(__name__)


def told(judged: Mapping[str, Any]) -> dict[str, Any]:
    """The alert of a verdict or of a look at the stream, also written to the task's log.

    It is what `masker alerts send --file` takes, and the report where there is one. Raises `AirflowSkipException`
    when there is nothing that somebody has to know.
    """
    alert = judged["alert"]
    if alert is None:
        raise AirflowSkipException(f"nothing to tell: {str(judged.get('verdict', 'no alarm')).replace('_', ' ')}")
    message = {**alert, "report": judged.get("report", "")}
    level = logging.INFO if message["severity"] == "info" else logging.WARNING
    log.log(level, "%s. %s Report: %s", message["title"], message["text"], message["report"] or "none")
    return message
