from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import masker_verdict
from identity_masker.alerts.ledger import ledger
from identity_masker.alerts.outbox import Outbox

FOUND = {
    "experiment": "tint",
    "as_of": "2026-11-23T00:00:00+00:00",
    "decision": "go_on",
    "sentence": "Go on.",
    "alert": False,
    "report": "file:///r.html",
}


@pytest.fixture(autouse=True)
def context(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The context of a running task, which only Airflow makes."""
    made: dict[str, Any] = {}
    monkeypatch.setattr(masker_verdict, "get_current_context", lambda: made)
    return made


def sent(home: Path) -> list[str]:
    with Outbox(f"sqlite:///{home}/control.db") as outbox:
        return [each.title for each in reversed(ledger(outbox, 20, all_deliveries=True).deliveries)]


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
def test_a_decision_is_sent_once_with_its_severity(
    decision: str, severity: str, home: Path, context: dict[str, Any]
) -> None:
    evaluated = {**FOUND, "decision": decision, "alert": True}
    found = masker_verdict.announced(evaluated)
    again = masker_verdict.announced(evaluated)
    assert (found["alert"], found["severity"]) == (True, severity)
    assert found["title"] == f"experiment tint: {decision.replace('_', ' ')}"
    assert found["told"][-1] == "opened"
    assert again["told"][-1] in ("known", "repeat")
    assert sent(home) == [found["title"]]
    assert context["headline"] == f"tint: {decision.replace('_', ' ')}"


def test_going_on_alerts_nobody(home: Path) -> None:
    found = masker_verdict.announced(FOUND)
    assert (found["alert"], found["told"]) == (False, ["nothing_to_end"])
    assert sent(home) == []


def test_bad_data_is_over_with_the_next_evaluation_without_it(home: Path) -> None:
    masker_verdict.announced({**FOUND, "decision": "unhealthy", "alert": True})
    assert masker_verdict.announced(FOUND)["told"] == ["ended"]
    assert sent(home) == ["experiment tint: unhealthy", "experiment tint: the data is in order again"]
