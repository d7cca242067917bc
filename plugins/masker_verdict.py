"""Tells people of an experiment's evaluation."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import get_current_context

log = logging.getLogger(__name__)


def announced(evaluated: Mapping[str, Any]) -> dict[str, Any]:
    """Send the alerts of an evaluation; the message, also shown as the name of its mapped task.

    `alert` is true for decisions that end the experiment, for bad health and for missing data: only these are sent, and
    that the data is in order again. The same evaluation again is told once.
    """
    from identity_masker.alerts import evaluations
    from identity_masker.alerts.notify import notify_all

    found = evaluations.Evaluation.model_validate(dict(evaluated))
    told = notify_all(evaluations.alerts(found))
    message = {
        "alert": found.alert,
        "severity": evaluations.severity(found.decision),
        "title": evaluations.title(found),
        "text": found.sentence,
        "report": found.report,
        "told": [each.meaning for each in told],
    }
    headline = f"{found.experiment}: {found.decision.replace('_', ' ')}"
    get_current_context()["headline"] = headline  # type: ignore[typeddict-unknown-key]
    log.info("%s. %s Report: %s. Alerts: %s", message["title"], found.sentence, found.report, message["told"])
    return message
