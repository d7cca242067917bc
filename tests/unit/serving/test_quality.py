from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from identity_masker.serving.quality import KEPT_VERSIONS, Quality, Sampler
from identity_masker.serving.quality_measures import SQUARES, SUM, VALUES, QualityMeasures


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.floats(0.0, 0.3), min_size=50, max_size=300))
def test_no_version_is_scored_more_often_than_its_rate(pauses: list[float]) -> None:
    clock = Clock()
    sampler = Sampler(1.0, 2.0, clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        taken += sampler.takes("1")
    assert taken <= 4 + 2.0 * clock.now + 1


def test_a_version_with_little_traffic_gets_as_many_scores() -> None:
    clock = Clock()
    sampler = Sampler(1.0, 2.0, clock)
    taken = {"1": 0, "2": 0}
    for request in range(4000):
        clock.now += 0.01
        version = "2" if request % 20 == 0 else "1"
        taken[version] += sampler.takes(version)
    assert taken["1"] == pytest.approx(taken["2"], rel=0.1)


def test_a_share_of_nothing_takes_nothing() -> None:
    assert not any(Sampler(0.0, 1000.0).takes("1") for _ in range(100))


def test_versions_of_long_ago_are_forgotten() -> None:
    sampler = Sampler(1.0, 1.0)
    assert all(sampler.takes(str(version)) for version in range(3 * KEPT_VERSIONS))


def test_what_was_not_measured_is_not_counted_as_zero() -> None:
    registry = CollectorRegistry()
    measures = QualityMeasures(registry, lambda: "abc")
    measures.add(Quality(0.5, 1, None), "2", "share", "abc")
    measures.add(Quality(0.25, 0, None), "2", "share", "abc")
    measures.add(Quality(), "2", "share", "abc")
    labels = {"version": "2", "via": "share", "examiner": "abc"}
    read = {
        (name, measure): registry.get_sample_value(f"{name}_total", {"measure": measure, **labels})
        for name in (VALUES, SUM, SQUARES)
        for measure in ("leak", "face_found", "outside")
    }
    assert [read[VALUES, measure] for measure in ("leak", "face_found", "outside")] == [2, 2, None]
    assert (read[SUM, "leak"], read[SQUARES, "leak"]) == (0.75, 0.3125)
    assert 'masker_gateway_examiner_info{examiner="abc"} 1.0' in generate_latest(registry).decode()
