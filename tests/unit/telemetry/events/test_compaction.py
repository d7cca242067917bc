from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from tests.unit.telemetry.events.samples import NOON, exposure, folder_of, outcome, request, stored

from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.telemetry import event_store
from identity_masker.telemetry.events import EventLog, compact, segments
from identity_masker.telemetry.events.kinds import KINDS, Kind

HOUR = timedelta(hours=1)
NOW = NOON + timedelta(hours=22, minutes=30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "it's a log"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def appended(folder: Path, kind: Kind, *events: dict[str, object]) -> None:
    with EventLog(folder, clock=lambda: NOW) as log:
        assert log.writer(kind).append_all(events)


def test_events_of_all_kinds_lie_by_hour_with_their_types(folder: Path, store: Path) -> None:
    late = NOON + timedelta(minutes=59, seconds=59, microseconds=999_999)
    appended(folder, "requests", request(NOON), request(late), request(NOON + HOUR))
    appended(folder, "exposures", exposure(forced=True))
    appended(folder, "outcomes", outcome(value=2))
    result = compact(folder, str(store), NOW)
    assert (result.events, result.segments, result.hours_written, result.duplicates) == (5, 3, 4, 0)
    assert [row["time"] for row in stored(store, "requests")] == [NOON, late, NOON + HOUR]
    assert stored(store, "requests")[0]["contrast"] is None
    assert stored(store, "exposures")[0]["forced"] is True
    assert stored(store, "outcomes")[0]["value"] == 2.0
    assert not list(folder.glob("*/*"))


def test_duckdb_reads_the_files_of_a_period(folder: Path, store: Path) -> None:
    appended(folder, "requests", *(request(NOON + hour * HOUR) for hour in range(30)))
    compact(folder, str(store), NOW)
    files = event_store.files(str(store), "requests", NOON + HOUR, NOON + 25 * HOUR + timedelta(microseconds=1))
    assert len(files) == 25
    assert duckdb.read_parquet(files).aggregate("count(*), sum(status)").fetchall() == [(25, 5000)]


def test_running_again_stores_nothing_twice(folder: Path, store: Path) -> None:
    event = outcome(event_id="same")
    appended(folder, "outcomes", event, outcome())
    compact(folder, str(store), NOW)
    appended(folder, "outcomes", event, event, outcome())
    result = compact(folder, str(store), NOW)
    assert (result.events, result.duplicates) == (1, 2)
    assert len(stored(store, "outcomes")) == 3
    assert compact(folder, str(store), NOW).segments == 0


def test_hours_are_whole_once_they_are_over_and_nobody_writes_to_them(folder: Path, store: Path) -> None:
    start = event_store.hour_of(NOW)
    with EventLog(folder, clock=lambda: NOW) as log:
        log.writer("requests").append(request(NOW))
        assert compact(folder, str(store), NOW + 3 * HOUR).complete_until == start
    assert event_store.missing_hours(str(store), "requests", start, start + HOUR) == [start]
    assert compact(folder, str(store), start + HOUR + timedelta(minutes=1)).complete_until == start
    assert compact(folder, str(store), start + HOUR + timedelta(minutes=2)).complete_until == start + HOUR
    for kind in KINDS:  # an hour without outcomes is whole as well
        assert event_store.missing_hours(str(store), kind, start, start + 2 * HOUR) == [start + HOUR]
    mark = json.loads((folder_of(store, "requests", start) / "_complete.json").read_text())
    (file,) = folder_of(store, "requests", start).glob("*.parquet")
    assert mark == {"events": 1, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def test_an_event_that_comes_late_joins_its_hour_and_renews_the_mark(folder: Path, store: Path) -> None:
    start = event_store.hour_of(NOW)
    appended(folder, "outcomes", outcome(NOW))
    compact(folder, str(store), start + 2 * HOUR)
    appended(folder, "outcomes", outcome(NOW), outcome(NOON))
    compact(folder, str(store), start + 2 * HOUR)
    place = folder_of(store, "outcomes", start)
    (file,) = place.glob("*.parquet")
    mark = json.loads((place / "_complete.json").read_text())
    assert mark == {"events": 2, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    # Before the log began nobody knows what is missing.
    assert event_store.missing_hours(str(store), "outcomes", NOON, NOON + HOUR) == [NOON]


def test_damage_costs_no_more_than_its_own_lines(folder: Path, store: Path) -> None:
    appended(folder, "outcomes", *(outcome() for _ in range(10)))
    (path,) = segments.sealed(folder / "outcomes")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    result = compact(folder, str(store), NOW)
    assert (result.events, result.damaged) == (9, 1)


def test_only_one_compaction_runs_at_a_time(folder: Path, store: Path) -> None:
    with segments.alone(folder), pytest.raises(TemporaryError, match="another compaction"):
        compact(folder, str(store), NOW)


def test_a_log_that_is_no_folder_is_bad_input(tmp_path: Path, store: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="cannot be written"):
        compact(tmp_path / "file", str(store), NOW)


def test_two_logs_share_a_store(tmp_path: Path, store: Path) -> None:
    for name in ("a", "b"):
        appended(tmp_path / name, "outcomes", outcome(event_id=name))
        compact(tmp_path / name, str(store), NOW)
    assert {row["event_id"] for row in stored(store, "outcomes")} == {"a", "b"}


def test_a_period_needs_a_time_zone() -> None:
    with pytest.raises(BadInputError, match="time zone"):
        list(event_store.hours(datetime(2026, 1, 1), datetime(2026, 1, 2)))
