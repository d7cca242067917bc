from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.unit.telemetry.events.samples import NOON, example, stored

from identity_masker.telemetry import event_store
from identity_masker.telemetry.events import EventLog, compact
from identity_masker.telemetry.events.expiry import expire

DAY = timedelta(days=1)


def test_only_days_beyond_the_limit_are_removed(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log") as log:
        log.writer("examples").append_all([example(NOON - 3 * DAY), example(NOON - 2 * DAY), example(NOON)])
    compact(tmp_path / "log", str(tmp_path / "store"), NOON + DAY)
    assert expire(str(tmp_path / "store" / "events" / "examples"), 2, NOON) == 1
    assert [event["time"] for event in stored(tmp_path / "store", "examples")] == [NOON - 2 * DAY, NOON]
    assert not Path(event_store.hour_uri(str(tmp_path / "store"), "examples", NOON - 3 * DAY)).exists()


def test_a_store_without_events_has_nothing_to_remove(tmp_path: Path) -> None:
    assert expire(str(tmp_path / "nothing"), 1, NOON) == 0
