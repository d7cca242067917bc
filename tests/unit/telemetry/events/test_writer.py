from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.unit.telemetry.events.samples import NOON, exposure, outcome, request

from identity_masker.errors import BadInputError
from identity_masker.telemetry.events import EventLog, Writer, segments
from identity_masker.telemetry.events.frames import lines
from identity_masker.telemetry.events.measures import EventMeasures
from identity_masker.telemetry.events.room import Bounds


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses to let a file grow beyond `size`: a write is cut short, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def events(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in [*segments.sealed(folder), *segments.unsealed(folder)]:
        with path.open("rb") as file:
            read = [line.event for line in lines(file)]
        assert None not in read
        found += [event for event in read if event is not None]
    return found


def count(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(f"masker_event_log_{name}_total", labels) or 0.0


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def writer(folder: Path, clock: Clock | None = None, **bounds: Any) -> Writer:
    return Writer(
        "outcomes", folder, Bounds.model_validate(bounds), EventMeasures(CollectorRegistry()), clock or Clock()
    )


def test_an_acknowledged_event_is_in_the_file_at_once(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        assert log.writer("outcomes").append(outcome(event_id="a", value=3))
        assert events(tmp_path / "outcomes") == [
            {"event_id": "a", "time": int(NOON.timestamp() * 1e6), "unit": "u1", "name": "kept", "value": 3.0}
        ]


def test_each_kind_has_its_columns(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        assert log.writer("requests").append(request())
        assert log.writer("exposures").append(exposure())
        with pytest.raises(BadInputError, match="missing or unknown: attributes"):
            log.writer("outcomes").append(exposure())


@pytest.mark.parametrize(
    ("column", "value"),
    [("value", None), ("value", float("nan")), ("value", True), ("unit", 3), ("event_id", None), ("time", 12)],
)
def test_an_event_of_other_types_is_refused(tmp_path: Path, column: str, value: object) -> None:
    with pytest.raises(BadInputError, match=column):
        writer(tmp_path).append({**outcome(), column: value})
    with pytest.raises(BadInputError, match="time"):
        writer(tmp_path).append(outcome(datetime(2026, 1, 1)))


def test_what_may_be_missing_is_null_when_it_is_not_a_number(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.writer("requests").append(request(sharpness=float("nan")))
        assert events(tmp_path / "requests")[0]["sharpness"] is None


def test_a_segment_is_sealed_when_it_is_large_or_old(tmp_path: Path) -> None:
    clock = Clock()
    one = writer(tmp_path, clock, segment_bytes=500, segment_seconds=60)
    for _ in range(10):
        one.append(outcome())
    assert len(segments.sealed(tmp_path / "outcomes")) >= 2
    clock.now += timedelta(seconds=60)
    one.tick()
    assert segments.unsealed(tmp_path / "outcomes") == []
    assert len(events(tmp_path / "outcomes")) == 10


def test_threads_and_logs_share_a_folder(tmp_path: Path) -> None:
    with EventLog(tmp_path) as first, EventLog(tmp_path) as second, ThreadPoolExecutor(4) as pool:
        writers = [first.writer("outcomes"), second.writer("outcomes")]
        assert all(pool.map(lambda n: writers[n % 2].append(outcome(event_id=str(n))), range(400)))
    found = events(tmp_path / "outcomes")
    assert sorted(int(event["event_id"]) for event in found) == list(range(400))


def test_a_write_cut_short_is_taken_back_and_counted(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    with EventLog(tmp_path, registry=registry) as log:
        one = log.writer("outcomes")
        assert one.append(outcome(event_id="before"))
        (path,) = segments.unsealed(tmp_path / "outcomes")
        with largest_file(path.stat().st_size + 30):
            assert not one.append(outcome(event_id="lost"))
        time.sleep(1.05)  # it does not try again at once
        assert one.append(outcome(event_id="after"))
    assert [event["event_id"] for event in events(tmp_path / "outcomes")] == ["before", "after"]
    assert count(registry, "dropped", kind="outcomes", reason="disk_full") == 1
    assert count(registry, "appended", kind="outcomes") == 2


def test_several_events_are_appended_together_or_not_at_all(tmp_path: Path) -> None:
    one = writer(tmp_path)
    assert one.append_all([outcome(), outcome()])
    (path,) = segments.unsealed(tmp_path / "outcomes")
    with largest_file(path.stat().st_size + 200):
        assert not one.append_all([outcome(), outcome()])
    one.close()
    assert len(events(tmp_path / "outcomes")) == 2


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [({"total_bytes": 1000, "segment_bytes": 600}, "log_full"), ({"free_bytes": 1 << 60}, "disk_full")],
)
def test_the_log_takes_no_more_of_the_disk_than_it_may(tmp_path: Path, bounds: dict[str, int], reason: str) -> None:
    registry = CollectorRegistry()
    with EventLog(tmp_path, bounds=Bounds.model_validate(bounds), registry=registry) as log:
        results = [log.writer("outcomes").append(outcome()) for _ in range(30)]
    assert False in results
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.log")) < 1400
    assert count(registry, "dropped", kind="outcomes", reason=reason) == results.count(False)
    assert len(events(tmp_path / "outcomes")) == results.count(True)


def test_a_folder_that_cannot_be_made_refuses_events_and_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    registry = CollectorRegistry()
    with EventLog(tmp_path / "file", registry=registry) as log:
        assert not log.writer("outcomes").append(outcome())
    assert count(registry, "dropped", kind="outcomes", reason="io_error") == 1


def test_an_event_that_is_too_large_is_refused(tmp_path: Path) -> None:
    one = writer(tmp_path)
    assert not one.append(outcome(name="x" * (1 << 20)))
    assert one.append(outcome())
    one.close()


def test_opening_heals_what_a_killed_process_left(tmp_path: Path) -> None:
    segment = segments.create(tmp_path / "outcomes", datetime.now(UTC))
    os.write(segment.descriptor, b"0000")
    os.close(segment.descriptor)
    registry = CollectorRegistry()
    EventLog(tmp_path, registry=registry).close()
    assert registry.get_sample_value("masker_event_log_torn_total") == 1
    assert segments.unsealed(tmp_path / "outcomes") == []
