"""Events that earlier versions wrote, in segments and in the store, beside those of this one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.unit.telemetry.events.samples import NOON, early_request, request, stored

from identity_masker.errors import BadInputError
from identity_masker.telemetry.events import EventLog, compact
from identity_masker.telemetry.events.frames import frame
from identity_masker.telemetry.events.kinds import LATER, checked
from identity_masker.telemetry.events.reading import newest

NOW = NOON + timedelta(days=1)
SCORED = {"leak": 0.25, "face_found": 1, "outside": 0.0, "via": "share"}


def early_segment(log: Path) -> None:
    folder = log / "requests"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "20260301T120000000000-1-00000000.log").write_bytes(frame(early_request()))


def append(log: Path, **columns: object) -> None:
    with EventLog(log) as events:
        assert events.writer("requests").append(request(NOON, **columns))


def without_later(store: Path) -> None:
    """Makes of the stored file what an earlier version would have stored."""
    (path,) = store.rglob("*.parquet")
    pq.write_table(pq.ParquetFile(path).read().drop_columns(sorted(LATER)), path)


def test_a_segment_of_an_earlier_version_is_compacted(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    early_segment(log)
    append(log, **SCORED)
    result = compact(log, str(store), NOW)
    assert (result.events, result.rejected) == (2, 0)
    found = sorted((row["leak"], row["via"]) for row in stored(store, "requests") if row["leak"] is not None)
    assert found == [(0.25, "share")]


def test_a_stored_hour_of_an_earlier_version_takes_new_events(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    early_segment(log)
    compact(log, str(store), NOW)
    without_later(store)
    append(log, **SCORED)
    assert compact(log, str(store), NOW).events == 1
    rows = stored(store, "requests")
    assert sorted(row["face_found"] or 0 for row in rows) == [0, 1]


@pytest.mark.parametrize("compacted", [False, True])
def test_events_of_an_earlier_version_are_read_with_nulls(tmp_path: Path, compacted: bool) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    early_segment(log)
    if compacted:
        compact(log, str(store), NOW)
        without_later(store)
    (event,) = newest(log, str(store), "requests", NOON - timedelta(hours=1), 10)
    assert [event[name] for name in sorted(LATER)] == [None] * len(LATER)


@pytest.mark.parametrize("wrong", [{"leak": "0"}, {"face_found": 0.5}, {"face_found": True}, {"via": 1}])
def test_a_score_of_another_type_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInputError, match=next(iter(wrong))):
        checked("requests", request(**wrong))
