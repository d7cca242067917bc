from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from identity_masker.alerts.ledger import ledger
from identity_masker.alerts.outbox import Outbox
from identity_masker.drift.alert_message import Alert
from masker_drift import told

ALERT = Alert(incident="drift/3", state="firing", severity="warning", title="drift", text="why", facts={})


def judged(**alert: Any) -> dict[str, Any]:
    made = ALERT.model_copy(update=alert).model_dump(mode="json")
    return {"verdict": "drift", "alert": made, "report": "store/report.html"}


def sent(home: Path) -> list[str]:
    with Outbox(f"sqlite:///{home}/control.db") as outbox:
        return [each.title for each in reversed(ledger(outbox, 20, all_deliveries=True).deliveries)]


def test_nights_of_one_drift_are_told_once_and_their_end_too(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    nights = [judged(), judged(title="drift again"), judged(state="resolved", title="over")]
    assert [told(night)["told"] for night in nights] == ["opened", "repeat", "ended"]
    assert sent(home) == ["drift", "over"]
    assert "drift. why Report: store/report.html. Alert: opened" in caplog.text


def test_an_end_of_what_was_never_told_alerts_nobody(home: Path) -> None:
    assert told(judged(state="resolved", severity="info"))["told"] == "nothing_to_end"
    assert sent(home) == []


def test_silence_is_skipped() -> None:
    with pytest.raises(AirflowSkipException, match="nothing to tell: no drift"):
        told({"verdict": "no_drift", "alert": None, "report": ""})
    with pytest.raises(AirflowSkipException, match="nothing to tell: no alarm"):
        told({"alert": None})
