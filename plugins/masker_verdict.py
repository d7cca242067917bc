"""What people hear of an experiment's evaluation. The seam for alerts: who sends them, reads this task's result."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import get_current_context

log = logging.getLogger(__name__)


def announced(evaluated: Mapping[str, Any]) -> dict[str, Any]:
    """The message on an evaluation, also written to the task's log, and shown as the name of its mapped task.

    `alert` is true for decisions that end the experiment, for bad health and for missing data.
    """
    name, decision = evaluated["experiment"], str(evaluated["decision"]).replace("_", " ")
    message = {
        "alert": evaluated["alert"],
        "severity": "warning" if evaluated["decision"] in ("unhealthy", "incomplete", "stop_harm") else "info",
        "title": f"experiment {name}: {decision}",
        "text": evaluated["sentence"],
        "report": evaluated["report"],
    }
    get_current_context()["headline"] = f"{name}: {decision}"  # type: ignore[typeddict-unknown-key]
    level = logging.WARNING if message["severity"] == "warning" else logging.INFO
    log.log(level, "%s. %s Report: %s", message["title"], message["text"], message["report"])
    return message
