from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from identity_masker.errors import BadInputError
from identity_masker.settings import Settings, settings


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    settings.cache_clear()


def test_defaults_live_under_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKER_HOME", str(tmp_path))
    config = Settings()
    assert config.store == f"file://{tmp_path}/store"
    assert config.control_url == f"sqlite:///{tmp_path}/control.db"
    assert config.events == tmp_path / "events"
    assert config.tracking_uri == "http://127.0.0.1:5000"


def test_the_event_log_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKER_EVENTS_DIR", str(tmp_path / "shared"))
    assert Settings().events == tmp_path / "shared"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().home = Path("/")


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKER_GATEWAY_PORT", "99999")
    with pytest.raises(BadInputError, match="MASKER_GATEWAY_PORT"):
        settings()
    settings.cache_clear()


def test_step_key_is_made_of_the_task_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DAG_ID": "d", "RUN_ID": "r", "TASK_ID": "t", "MAP_INDEX": "3", "TRY_NUMBER": "2"}.items():
        monkeypatch.setenv(f"MASKER_STEP_{name}", value)
    assert Settings().step.key() == "d/r/t/3/2"
    assert Settings().step.known
