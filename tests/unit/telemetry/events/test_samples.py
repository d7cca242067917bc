"""Pictures kept with consent: beside the log, in the store, and gone when consent is."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.telemetry.events.samples import NOON

from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.telemetry.events import compact, samples, segments
from identity_masker.telemetry.events.expiry import expire
from identity_masker.telemetry.events.room import Bounds

SMALL = Bounds(free_bytes=0, total_bytes=17 << 20)


def kept(log: Path, event_id: str, unit: str = "a1", days: int = 0) -> str:
    return samples.write(log, event_id, unit, NOON + timedelta(days=days), b"picture", SMALL)


def test_what_lies_beside_the_log_is_moved_to_where_the_event_says(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    place = kept(log, "e1")
    (waiting,) = (log / "samples").iterdir()
    assert (waiting.stat().st_mode & 0o777, (log / "samples").stat().st_mode & 0o777) == (0o600, 0o700)
    assert compact(log, str(store), NOON).samples == 1
    assert compact(log, str(store), NOON).samples == 0
    assert place == "samples/date=2026-03-01/a1/e1.jpg"
    assert (store / place).read_bytes() == b"picture"
    assert list((log / "samples").iterdir()) == []


def test_without_room_nothing_is_kept(tmp_path: Path) -> None:
    assert samples.write(tmp_path, "e", "a1", NOON, b"x", Bounds(free_bytes=1 << 62)) == ""
    large = SMALL.model_copy(update={"segment_bytes": 2 << 20})
    assert samples.write(tmp_path, "e1", "a1", NOON, bytes(16 << 20), large)
    assert samples.write(tmp_path, "e2", "a1", NOON, b"x", large) == ""  # they count as a part of the log


def test_consent_that_is_taken_back_removes_all_pictures_of_the_unit_and_no_others(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    for number, unit in enumerate(("a1", "b2", "a1")):
        kept(log, f"e{number}", unit, days=number)
    compact(log, str(store), NOON)
    kept(log, "e3")
    kept(log, "e4", "b2")
    kept(log, "e5", "")
    assert samples.withdraw(log, str(store), "a1") == 3
    assert samples.withdraw(log, str(store), "a1") == 0
    compact(log, str(store), NOON)
    left = sorted(path.name for path in (store / "samples").rglob("*.jpg"))
    assert left == ["e1.jpg", "e4.jpg", "e5.jpg"]


@pytest.mark.parametrize("unit", ["", "nobody", "*", "../a1"])
def test_only_a_unit_is_taken_back(tmp_path: Path, unit: str) -> None:
    with pytest.raises(BadInputError, match="not a unit"):
        samples.withdraw(tmp_path, str(tmp_path / "store"), unit)


def test_taking_back_waits_for_a_compaction_that_could_be_moving_a_picture(tmp_path: Path) -> None:
    with segments.alone(tmp_path), pytest.raises(TemporaryError, match="compaction"):
        samples.withdraw(tmp_path, str(tmp_path / "store"), "a1")


def test_what_a_killed_process_was_writing_goes_after_an_hour(tmp_path: Path) -> None:
    folder = tmp_path / "log" / "samples"
    folder.mkdir(parents=True)
    old, new = folder / "2026-03-01.a1.old.part", folder / "2026-03-01.a1.new.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert compact(tmp_path / "log", str(tmp_path / "store"), NOON).samples == 0
    assert list(folder.iterdir()) == [new]


def test_pictures_expire_by_day(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    for number in range(4):
        kept(log, f"e{number}", days=number)
    compact(log, str(store), NOON)
    assert expire(str(store / "samples"), 1, NOON + timedelta(days=3)) == 2
    assert sorted(path.name for path in (store / "samples").rglob("*.jpg")) == ["e2.jpg", "e3.jpg"]
