from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.alerts.desks import alert
from tests.unit.alerts.endpoint import endpoint

from identity_masker.alerts.notify import notify
from identity_masker.settings import settings
from identity_masker.telemetry import logs


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("MASKER_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


def test_an_alert_is_written_down_and_said_in_the_log() -> None:
    assert notify(alert()).channels == ("log",)
    assert notify(alert()).meaning == "repeat"


def test_a_step_of_a_dag_run_names_it(place: pytest.MonkeyPatch) -> None:
    place.setenv("MASKER_CORRELATION_ID", "manual__1")
    settings.cache_clear()
    with endpoint() as receiver:
        place.setenv("MASKER_WEBHOOK_URL", receiver.url)
        place.setenv("MASKER_WEBHOOK_SECRET", "a-secret-of-the-tests")
        settings.cache_clear()
        notify(alert(severity="critical"))
        notify(alert("other", severity="critical", correlation_id="its own"))
        assert [body["alerts"][0]["correlation_id"] for body in receiver.documents()] == ["manual__1", "its own"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MASKER_CONTROL_DB", "postgresql://u:planted@127.0.0.1:9/x"),
        ("MASKER_CONTROL_DB", "nonsense"),
        ("MASKER_CONFIG_DIR", "/no/such/folder"),
        ("MASKER_ALERTS_PORT", "many"),
    ],
)
def test_where_nothing_works_it_is_in_the_log_and_nothing_is_raised(
    place: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    place.setenv(variable, value)
    settings.cache_clear()
    stream = io.StringIO()
    logs.configure(level="INFO", correlation_id="", stream=stream, json_lines=True)
    found = notify(alert("the disk is full"))
    assert found.meaning == "logged"
    out = stream.getvalue()
    assert "the disk is full" in out
    assert "planted" not in out


def test_a_broken_configuration_is_no_reason_to_raise(place: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(json.dumps({"channels": {}, "routes": []}))
    place.setenv("MASKER_CONFIG_DIR", str(tmp_path))
    settings.cache_clear()
    assert notify(alert()).meaning == "logged"
