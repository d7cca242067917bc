from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from identity_masker.errors import TemporaryError
from identity_masker.release.evidence import Events, Histogram, Moments
from identity_masker.release.gateway_metrics import HttpGateway, Snapshot, interval, parse
from identity_masker.serving.answers import BOUNDS, PAIRED, SHADOW, SHARE, Answers
from identity_masker.serving.problem import overloaded
from identity_masker.serving.quality import Quality
from identity_masker.serving.quality_measures import QualityMeasures

ARMS = {"champion": "1", "canary": "2"}
STATUSES = st.lists(st.tuples(st.sampled_from("12"), st.sampled_from([200, 422, 503, 0])), max_size=40)


class Counting:
    """The registry of a gateway, with the given revision."""

    def __init__(self, start: float = 5.0) -> None:
        self.registry = CollectorRegistry()
        self.answers = Answers(self.registry)
        self.examiner = ""
        self.quality = QualityMeasures(self.registry, lambda: self.examiner)
        Gauge("process_start_time_seconds", "-", registry=self.registry).set(start)
        Gauge("masker_gateway_routing_revision", "-", registry=self.registry).set(7)

    def answer(self, version: str, status: int, via: str = SHARE) -> None:
        with self.answers.timed("any", version, via) as answer:
            answer.status = status

    def snapshot(self) -> Snapshot:
        return parse(generate_latest(self.registry).decode())


@given(STATUSES, STATUSES)
def test_an_interval_holds_what_was_answered_between_two_readings(
    before: list[tuple[str, int]], between: list[tuple[str, int]]
) -> None:
    counting = Counting()
    for version, status in before:
        counting.answer(version, status)
    first = counting.snapshot()
    for version, status in between:
        counting.answer(version, status)
    found = interval(first, counting.snapshot(), ARMS, seconds=10.0, share=0.5)
    for name, version in ARMS.items():
        arm, statuses = found.arms[name], [status for each, status in between if each == version]
        assert arm.requests == len(statuses)
        assert arm.errors == sum(status in (0, 503) for status in statuses)
        latency = arm.measures.get("latency_ms")
        if latency is not None:
            assert isinstance(latency, Histogram)
            assert sum(latency.counts) == sum(status != 422 for status in statuses)


def test_the_revision_and_the_bounds_are_read() -> None:
    counting = Counting()
    counting.answer("1", 200)
    snapshot = counting.snapshot()
    assert (snapshot.revision, snapshot.process_start) == (7, 5.0)
    assert snapshot.bounds == BOUNDS


def test_requests_that_no_share_sent_are_no_evidence() -> None:
    counting = Counting()
    counting.answer("1", 200, via="lease")
    assert counting.snapshot().answers == {}


def test_a_gateway_that_started_anew_has_counted_from_zero() -> None:
    old, new = Counting(start=5.0), Counting(start=6.0)
    for _ in range(9):
        old.answer("1", 200)
    new.answer("1", 200)
    found = interval(old.snapshot(), new.snapshot(), ARMS, seconds=1.0, share=0.5)
    assert (found.arms["champion"].requests, found.arms["canary"].requests) == (1, 0)


def test_an_error_that_is_raised_counts_as_a_failed_answer() -> None:
    counting = Counting()
    with (
        pytest.raises(Exception, match="full"),
        counting.answers.timed("canary", "2", SHARE),
    ):
        raise overloaded("the gateway is full", "overloaded", seconds=1)
    with pytest.raises(ValueError), counting.answers.timed("canary", "2", SHARE):
        raise ValueError
    assert {name: sum(counts) for name, counts in counting.snapshot().answers["2"].items()} == {"failed": 2}


def test_a_gateway_that_does_not_answer_is_temporary() -> None:
    with pytest.raises(TemporaryError, match="MASKER_GATEWAY_URL"):
        HttpGateway("http://127.0.0.1:9").read()


def test_the_quality_of_an_interval_is_that_of_the_answers_in_it() -> None:
    counting = Counting()
    counting.examiner = "abc"
    counting.answer("2", 200)
    counting.quality.add(Quality(0.9, 0, 0.9), "2", SHARE, "abc")
    first = counting.snapshot()
    counting.answer("2", 200)
    for leak, found in ((0.2, 1), (0.4, 0), (None, 1)):
        counting.quality.add(Quality(leak, found, None), "2", SHARE, "abc")
    counting.quality.add(Quality(0.8, 1, None), "2", "tester", "abc")
    counting.quality.add(Quality(0.8, 1, None), "2", SHARE, "another")
    arms = interval(first, counting.snapshot(), ARMS, seconds=10.0, share=0.5).arms
    leak = arms["canary"].measures["leak"]
    assert isinstance(leak, Moments)
    assert (leak.n, leak.mean, leak.var) == (2, pytest.approx(0.3), pytest.approx(0.01))
    assert arms["canary"].measures["face_found"] == Events(n=3, events=2)
    assert "outside" not in arms["canary"].measures
    assert "leak" not in arms["champion"].measures


def test_of_a_shadow_both_answers_to_the_same_requests_count() -> None:
    counting = Counting()
    first = counting.snapshot()
    for _ in range(5):
        counting.answer("1", 200)
    for _ in range(2):
        counting.answer("1", 200, via=PAIRED)
        counting.answer("2", 500, via=SHADOW)
    counting.examiner = "abc"
    counting.quality.add(Quality(0.5, 1, 0.0), "2", SHADOW, "abc")
    counting.quality.add(Quality(0.1, 1, 0.0), "1", PAIRED, "abc")
    counting.quality.add(Quality(0.9, 1, 0.0), "1", SHARE, "abc")
    found = interval(first, counting.snapshot(), ARMS, seconds=1.0, share=None, mirrored=True)
    assert [(arm.requests, arm.errors) for arm in found.arms.values()] == [(2, 0), (2, 2)]
    means = [arm.measures["leak"].mean for arm in found.arms.values() if isinstance(arm.measures["leak"], Moments)]
    assert means == [0.1, 0.5]


def test_while_the_examiner_starts_again_nothing_is_counted_twice() -> None:
    counting = Counting()
    counting.examiner = "abc"
    counting.answer("2", 200)
    counting.quality.add(Quality(0.9, 1, 0.9), "2", SHARE, "abc")
    first = counting.snapshot()
    counting.examiner = ""
    between = counting.snapshot()
    counting.examiner = "abc"
    counting.quality.add(Quality(0.1, 1, 0.1), "2", SHARE, "abc")
    found = interval(between, counting.snapshot(), ARMS, seconds=1.0, share=0.5).arms["canary"].measures["leak"]
    assert "leak" not in interval(first, between, ARMS, seconds=1.0, share=0.5).arms["canary"].measures
    assert isinstance(found, Moments)
    assert (found.n, found.mean) == (1, pytest.approx(0.1))
