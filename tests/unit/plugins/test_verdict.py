from __future__ import annotations

import logging
from typing import Any

import pytest

import masker_verdict

FOUND = {"experiment": "tint", "decision": "go_on", "sentence": "Go on.", "alert": False, "report": "file:///r.html"}


@pytest.fixture(autouse=True)
def context(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The context of a running task, which only Airflow makes."""
    made: dict[str, Any] = {}
    monkeypatch.setattr(masker_verdict, "get_current_context", lambda: made)
    return made


@pytest.mark.parametrize(
    ("decision", "severity"),
    [
        ("ship", "info"),
        ("stop_harm", "warning"),
        ("stop_futility", "info"),
        ("unhealthy", "warning"),
        ("incomplete", "warning"),
    ],
)
def test_a_decision_is_told_with_its_severity(
    decision: str, severity: str, caplog: pytest.LogCaptureFixture, context: dict[str, Any]
) -> None:
    with caplog.at_level(logging.INFO, logger="masker_verdict"):
        found = masker_verdict.announced({**FOUND, "decision": decision, "alert": True})
    assert (found["alert"], found["severity"]) == (True, severity)
    assert found["title"] == f"experiment tint: {decision.replace('_', ' ')}"
    assert caplog.records[0].levelname == severity.upper()
    assert "file:///r.html" in caplog.text
    assert context["headline"] == f"tint: {decision.replace('_', ' ')}"


def test_going_on_alerts_nobody() -> None:
    assert masker_verdict.announced(FOUND)["alert"] is False
