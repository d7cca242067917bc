"""The declared metrics over real segments, compacted as keep_house does."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from identity_masker.monitoring.custom import CustomMetrics, load_metrics
from identity_masker.monitoring.sources.event_log import EventLogSource
from identity_masker.monitoring.sources.events import EventsSource
from identity_masker.settings import PROJECT
from identity_masker.telemetry.events import compact
from identity_masker.telemetry.events.kinds import COLUMNS
from identity_masker.telemetry.events.measures import EventMeasures
from identity_masker.telemetry.events.room import Bounds
from identity_masker.telemetry.events.writer import Writer

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
HOUR = timedelta(hours=1)


class Log:
    """A log with a store, to which a test appends hours ago."""

    def __init__(self, folder: Path) -> None:
        self.events, self.store, self.cache = folder / "events", f"file://{folder}/store", folder / "cache"

    def append(self, kind: str, hours_ago: float, **columns: object) -> None:
        name = next(each for each in COLUMNS if each == kind)
        moment = NOW - hours_ago * HOUR
        measures = EventMeasures(CollectorRegistry())
        writer = Writer(name, self.events, Bounds(free_bytes=0), measures, clock=lambda: moment)
        empty = {"text": "", "number": 1.0, "number?": None, "integer": 200, "flag": False}
        known = {column: empty.get(type_) for column, type_ in COLUMNS[name].items()}
        assert writer.append({"event_id": uuid.uuid4().hex, "time": moment, **known, **columns})
        writer.close()

    def mask(self, unit: str, variant: str, hours_ago: float) -> None:
        self.append("requests", hours_ago, unit=unit, variant=variant)

    def compact(self, now: datetime = NOW + timedelta(minutes=5)) -> None:
        compact(self.events, self.store, now)

    def source(self, declared: CustomMetrics | None = None) -> EventsSource:
        return EventsSource(
            declared or load_metrics(PROJECT / "include" / "config" / "metrics.yaml"), self.store, self.cache
        )


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def values(source: EventsSource, name: str) -> dict[tuple[str, ...], float]:
    return {sample.labels: sample.value for sample in source.read() if sample.family.name == name}


def test_without_a_whole_hour_there_is_nothing(log: Log) -> None:
    assert list(log.source().read()) == []
    log.mask("a", "champion", 0)
    log.compact()
    assert list(log.source().read()) == []


def test_users_masks_retention_revenue_and_leaks_by_variant(log: Log) -> None:
    for unit, hours in (("a", 30), ("b", 30), ("c", 30), ("d", 30), ("a", 3), ("a", 2.5)):
        log.mask(unit, "champion", hours)
    log.mask("b", "canary", 2)
    log.append("requests", 2, unit="e", variant="champion", status=503)
    log.append("requests", 1.9, unit="b", variant="shadow", via="shadow")
    log.append("outcomes", 1.5, unit="a", name="revenue", value=3.0)
    log.append("outcomes", 1.5, unit="b", name="revenue", value=5.0)
    log.append("outcomes", 1.5, unit="b", name="leak_reported", value=1.0)
    log.compact()
    source = log.source()
    assert values(source, "masker_business_users") == {("champion",): 1, ("canary",): 1}
    assert values(source, "masker_business_masks_per_user") == {("champion",): 2, ("canary",): 1}
    assert values(source, "masker_business_retention_ratio") == {("champion",): 0.5}
    assert values(source, "masker_business_revenue") == {("champion",): 3, ("canary",): 5}
    assert values(source, "masker_business_revenue_per_user") == {("champion",): 3, ("canary",): 5}
    assert values(source, "masker_business_leaks_reported") == {("canary",): 1}
    assert set(values(source, "masker_exporter_custom_metric_ok").values()) == {1}


def test_a_counter_counts_each_hour_once_and_starts_at_zero(log: Log) -> None:
    log.mask("a", "champion", 3)
    log.compact(NOW - HOUR + timedelta(minutes=5))
    source = log.source()
    assert values(source, "masker_business_masks") == {("champion",): 0}
    for unit in ("b", "c"):
        log.mask(unit, "champion", 0.5)
    log.mask("d", "canary", 0.5)
    log.compact()
    for _ in range(2):
        assert values(source, "masker_business_masks") == {("champion",): 2, ("canary",): 1}


def test_nothing_is_computed_again_while_no_file_has_changed(log: Log) -> None:
    log.mask("a", "champion", 3)
    log.compact()
    source = log.source()
    assert source.read() is source.read()


def test_a_query_that_fails_takes_its_own_metric_away_and_no_other(log: Log) -> None:
    log.mask("a", "champion", 3)
    log.compact()
    declared = CustomMetrics.model_validate(
        {
            "metrics": [
                {"name": "masker_bad", "help": "-", "sql": "SELECT error('no')::DOUBLE AS value FROM requests"},
                {"name": "masker_good", "help": "-", "sql": "SELECT count(*) AS value FROM requests"},
            ]
        }
    )
    source = log.source(declared)
    assert values(source, "masker_exporter_custom_metric_ok") == {("masker_bad",): 0, ("masker_good",): 1}
    assert values(source, "masker_good") == {(): 1}


def test_the_log_says_what_waits_and_how_far_the_store_is_whole(log: Log) -> None:
    log.mask("a", "champion", 3)
    source = EventLogSource(log.events, log.store)
    found = {(sample.family.name, *sample.labels): sample.value for sample in source.read()}
    assert found["masker_events_waiting_segments", "requests"] == 1
    assert found["masker_events_waiting_bytes", "requests"] > 0
    assert found["masker_events_oldest_waiting_timestamp_seconds", "requests"] == (NOW - 3 * HOUR).timestamp()
    log.compact(NOW - HOUR + timedelta(minutes=5))
    found = {(sample.family.name, *sample.labels): sample.value for sample in source.read()}
    assert found["masker_events_waiting_segments", "requests"] == 0
    assert found["masker_events_whole_until_timestamp_seconds",] == (NOW - HOUR).timestamp()
    assert found["masker_events_missing_hours", "requests"] >= 1
