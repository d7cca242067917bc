from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.alerts.endpoint import Endpoint, endpoint

from identity_masker.cli.main import main
from identity_masker.settings import settings

DISK = ["send", "--title", "the disk is full", "--area", "infrastructure", "--severity", "critical"]


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with endpoint() as found:
        monkeypatch.setenv("MASKER_HOME", str(tmp_path))
        monkeypatch.setenv("MASKER_WEBHOOK_URL", found.url)
        monkeypatch.setenv("MASKER_WEBHOOK_SECRET", "a-secret-of-the-tests")
        settings.cache_clear()
        yield found
        settings.cache_clear()


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert main(["alerts", *words, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_an_alert_is_sent_shown_and_resolved(receiver: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    sent = printed(capsys, *DISK, "--fact", "free_percent=3", "--link", "runbook=http://r/disk")
    assert (sent["meaning"], sent["channels"]) == ("opened", ["hook"])
    alert = receiver.documents()[0]["alerts"][0]
    assert (alert["facts"], alert["links"]) == ({"free_percent": "3"}, {"runbook": "http://r/disk"})
    assert printed(capsys, *DISK, "--state", "resolved")["meaning"] == "ended"
    shown = printed(capsys, "show", "--all")
    assert [(each["key"], each["state"]) for each in shown["incidents"]] == [
        ("infrastructure/the disk is full", "resolved")
    ]
    assert shown["counts"] == {"waiting": 0, "sent": 2}


def test_an_alert_comes_from_a_file_and_options_win(
    receiver: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "alert.json"
    file.write_text(json.dumps({"area": "data", "severity": "info", "title": "t", "incident": "i", "facts": {"n": 1}}))
    printed(capsys, "send", "--file", str(file), "--severity", "critical", "--fact", "m=2")
    alert = receiver.documents()[0]["alerts"][0]
    assert (alert["severity"], alert["facts"]) == ("critical", {"n": 1, "m": "2"})


def test_what_was_not_sent_is_delivered_later(receiver: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    receiver.answers = [(503, {"retry-after": "0"}, b"")]
    assert printed(capsys, *DISK)["delivered"]["waiting"] == 1
    shown = printed(capsys, "show")
    assert shown["failing"][0]["name"] == "hook"
    assert shown["deliveries"][0]["state"] == "waiting"
    assert printed(capsys, "deliver")["waiting"] == 1, "not before its time"


def test_a_test_alert_names_who_took_it_and_who_is_missing(
    receiver: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, "test")
    assert found["sent"] == ["log", "hook"]
    assert found["missing"]["chat"] == "MASKER_SLACK_TOKEN"
    receiver.always = (500, {}, b"")
    assert "500" in printed(capsys, "test", code=75)["failed"]["hook"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["send"], "title"),
        (["send", "--title", "t", "--area", "kitchen"], "area"),
        (["send", "--title", "t", "--area", "data", "--fact", "nothing"], "NAME=VALUE"),
        (["send", "--file", "/no/such/file"], "no such file"),
        (["send", "--file", "/dev/null"], "cannot be read"),
    ],
)
def test_bad_input_is_named(
    receiver: Endpoint, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["alerts", *words]) == 2
    assert said in capsys.readouterr().err
    assert receiver.requests == []
