"""What a scrape gets when sources work, fail, give too much, or never answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from identity_masker.errors import TemporaryError
from identity_masker.monitoring import refresher
from identity_masker.monitoring.refresher import Refresher
from identity_masker.monitoring.sample import Family, Sample, one_of

THINGS = Family("masker_things", "Things.", ("kind",))
DONE = Family("masker_done", "Done.", (), "counter")


class Given:
    """A source that gives what a test says; an error is raised."""

    name = "given"
    families = (THINGS, DONE)

    def __init__(self, *rounds: list[Sample] | Exception, every: float = 1000.0) -> None:
        self.every = every
        self._rounds = list(rounds)

    def read(self) -> Iterator[Sample]:
        now = self._rounds.pop(0) if len(self._rounds) > 1 else self._rounds[0]
        if isinstance(now, Exception):
            raise now
        yield from now


def shown(collector: Refresher) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def test_gauges_and_counters_come_out_as_such() -> None:
    collector = Refresher([Given([THINGS.sample(3, "a"), DONE.sample(7)])])
    registry = shown(collector)
    assert registry.get_sample_value("masker_things", {"kind": "a"}) is None
    collector.refresh()
    assert registry.get_sample_value("masker_things", {"kind": "a"}) == 3
    assert registry.get_sample_value("masker_done_total") == 7
    assert registry.get_sample_value("masker_exporter_source_up", {"source": "given"}) == 1
    assert b"# TYPE masker_done_total counter" in generate_latest(registry)


@pytest.mark.parametrize("error", [TemporaryError("away"), ValueError("a bug")])
def test_a_source_that_fails_keeps_its_last_values_for_some_rounds(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(refresher.time, "time", lambda: now)
    collector = Refresher([Given([THINGS.sample(3, "a")], error, every=10)])
    registry = shown(collector)
    for _ in range(2):
        collector.refresh()
    assert registry.get_sample_value("masker_things", {"kind": "a"}) == 3
    assert registry.get_sample_value("masker_exporter_source_up", {"source": "given"}) == 0
    assert registry.get_sample_value("masker_exporter_source_success_timestamp_seconds", {"source": "given"}) == 1000
    now = 1051.0
    collector.refresh()
    assert registry.get_sample_value("masker_things", {"kind": "a"}) is None


def test_a_source_with_too_many_series_is_cut_and_says_so() -> None:
    collector = Refresher([Given([THINGS.sample(n, n) for n in range(refresher.MOST_SAMPLES + 5)])])
    registry = shown(collector)
    collector.refresh()
    assert registry.get_sample_value("masker_exporter_source_dropped_samples", {"source": "given"}) == 5
    samples = [s for metric in registry.collect() for s in metric.samples if s.name == "masker_things"]
    assert len(samples) == refresher.MOST_SAMPLES


def test_a_scrape_does_not_wait_for_a_source_that_never_answers() -> None:
    answer = threading.Event()

    class Slow(Given):
        name = "slow"

        def read(self) -> Iterator[Sample]:
            answer.wait(60)
            return iter(())

    with Refresher([Slow([])]) as collector:
        assert shown(collector).get_sample_value("masker_exporter_source_up", {"source": "slow"}) is None
        answer.set()


def test_labels_are_as_many_as_the_family_has() -> None:
    with pytest.raises(ValueError, match="masker_things has labels"):
        THINGS.sample(1)
    assert [s.value for s in one_of(THINGS, ("a", "b"), "b")] == [0, 1]
