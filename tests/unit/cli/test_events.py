from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.telemetry.events.samples import outcome, request

from identity_masker.cli.main import main
from identity_masker.settings import settings
from identity_masker.telemetry.events import EventLog, samples, segments
from identity_masker.telemetry.events.room import Bounds

Masker = Callable[..., tuple[int, str]]


@pytest.fixture
def masker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Masker:
    monkeypatch.setenv("MASKER_HOME", str(tmp_path))
    settings.cache_clear()

    def run(*arguments: str) -> tuple[int, str]:
        code = main(list(arguments))
        return code, capsys.readouterr().out

    return run


def test_compact_tells_what_it_did_and_does_it_once(tmp_path: Path, masker: Masker) -> None:
    with EventLog(tmp_path / "events") as log:
        log.writer("requests").append(request())
    first, again = masker("events", "compact", "--json"), masker("events", "compact", "--json")
    assert [json.loads(out)["events"] for _, out in (first, again)] == [1, 0]
    assert first[0] == again[0] == 0


def test_compact_while_another_one_runs_is_a_temporary_failure(tmp_path: Path, masker: Masker) -> None:
    with segments.alone(tmp_path / "events"):
        assert masker("events", "compact")[0] == 75


def test_show_finds_events_in_the_store_and_in_segments_once(tmp_path: Path, masker: Masker) -> None:
    now = datetime.now(UTC)
    times = [now - timedelta(minutes=30 * age) for age in range(4)]
    with EventLog(tmp_path / "events") as log:
        writer = log.writer("outcomes")
        writer.append_all([outcome(times[1], "b"), outcome(times[3], "d")])
        writer.close()
        masker("events", "compact")
        writer.append_all([outcome(times[0], "a"), outcome(times[1], "b"), outcome(times[2], "c")])
        shown = [json.loads(line) for line in masker("events", "show", "--kind", "outcomes")[1].splitlines()]
        assert [event["event_id"] for event in shown] == ["a", "b"]
        assert shown[1]["time"] == times[1].isoformat(timespec="microseconds")
        listed = masker("events", "show", "--kind", "outcomes", "--since", times[3].isoformat(), "--limit", "3")[1]
        assert [json.loads(line)["event_id"] for line in listed.splitlines()] == ["a", "b", "c"]


def test_show_of_nothing_is_nothing(masker: Masker) -> None:
    assert masker("events", "show", "--since", "7d") == (0, "")


@pytest.mark.parametrize("arguments", [("--kind", "raw-pictures"), ("--since", "yesterday")])
def test_show_refuses_what_it_does_not_know(masker: Masker, arguments: tuple[str, str]) -> None:
    assert masker("events", "show", *arguments) == (2, "")


def test_withdraw_removes_the_pictures_of_a_user(tmp_path: Path, masker: Masker) -> None:
    unit = masker("events", "unit", "alice")[1].strip()
    for number, whose in enumerate((unit, unit, "another")):
        samples.write(tmp_path / "events", f"e{number}", whose, datetime.now(UTC), b"picture", Bounds())
    masker("events", "compact")
    code, out = masker("events", "withdraw", "alice", "--json")
    assert (code, json.loads(out)) == (0, {"unit": unit, "removed": 2})
    with segments.alone(tmp_path / "events"):
        assert masker("events", "withdraw", "alice")[0] == 75


def test_compact_lets_old_pictures_go(tmp_path: Path, masker: Masker) -> None:
    now = datetime.now(UTC)
    for age in (0, 200):
        samples.write(tmp_path / "events", f"e{age}", "a1", now - timedelta(days=age), b"picture", Bounds())
    assert json.loads(masker("events", "compact", "--json")[1])["samples"] == 2
    assert [path.name for path in (tmp_path / "store" / "samples").rglob("*.jpg")] == ["e0.jpg"]


def test_unit_depends_on_the_key(masker: Masker, monkeypatch: pytest.MonkeyPatch) -> None:
    first = masker("events", "unit", "alice")[1].strip()
    monkeypatch.setenv("MASKER_UNIT_KEY", "another-secret")
    settings.cache_clear()
    second = masker("events", "unit", "alice")[1].strip()
    assert first != second
    assert len(first) == len(second) == 32
    assert "alice" not in first + second
