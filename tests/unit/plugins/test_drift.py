from __future__ import annotations

import logging
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from masker_drift import told

ALERT = {"incident": "drift/3", "state": "firing", "severity": "warning", "title": "drift", "text": "why", "facts": {}}


def judged(**alert: Any) -> dict[str, Any]:
    return {"verdict": "drift", "alert": {**ALERT, **alert}, "report": "store/report.html"}


@pytest.mark.parametrize(("severity", "level"), [("warning", logging.WARNING), ("info", logging.INFO)])
def test_an_alert_is_written_to_the_log_with_its_report(
    severity: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert told(judged(severity=severity)) == {**ALERT, "severity": severity, "report": "store/report.html"}
    (record,) = (each for each in caplog.records if each.name == "masker_drift")
    assert (record.levelno, record.getMessage()) == (level, "drift. why Report: store/report.html")


def test_silence_is_skipped() -> None:
    with pytest.raises(AirflowSkipException, match="nothing to tell: no drift"):
        told({"verdict": "no_drift", "alert": None, "report": ""})
    with pytest.raises(AirflowSkipException, match="nothing to tell: no alarm"):
        told({"alert": None})
