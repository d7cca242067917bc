"""Several gateways: real ones behind real sockets where they are read, computed counts where they are added."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import start_http_server
from tests.unit.release.test_gateway_metrics import ARMS, Counting

from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.release.evidence import Arm, Events, Histogram, Moments
from identity_masker.release.gateways import Gateways, added, addresses, interval, together
from identity_masker.serving.answers import SHARE
from identity_masker.serving.quality import Quality

VALUES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20)


def moments(values: list[float]) -> Moments:
    return Moments(n=len(values), mean=float(np.mean(values)), var=float(np.var(values)))


@pytest.fixture
def pair() -> Iterator[tuple[list[Counting], list[str]]]:
    countings, urls = [Counting(start=5.0), Counting(start=6.0)], []
    with ExitStack() as stack:
        for counting in countings:
            server, thread = start_http_server(0, "127.0.0.1", counting.registry)
            stack.callback(thread.join)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            urls.append(f"http://127.0.0.1:{server.server_port}")
        yield countings, urls


def test_what_each_gateway_counted_is_added_up(pair: tuple[list[Counting], list[str]]) -> None:
    countings, urls = pair
    gateways = Gateways(" , ".join(urls))
    for counting in countings:
        counting.answer("1", 200)
    before = gateways.read()
    for counting, statuses in zip(countings, ((200, 500), (200, 200, 503)), strict=True):
        for status in statuses:
            counting.answer("2", status)
    found = interval(before, gateways.read(), ARMS, seconds=5.0, share=0.5)
    assert {name: (arm.requests, arm.errors) for name, arm in found.arms.items()} == {
        "champion": (0, 0),
        "canary": (5, 2),
    }
    latency = found.arms["canary"].measures["latency_ms"]
    assert isinstance(latency, Histogram)
    assert sum(latency.counts) == 5


def test_one_gateway_that_does_not_answer_leaves_no_reading(pair: tuple[list[Counting], list[str]]) -> None:
    with pytest.raises(TemporaryError, match="does not tell"):
        Gateways(f"{pair[1][0]},http://127.0.0.1:9").read()


def test_a_name_stands_for_all_its_addresses(pair: tuple[list[Counting], list[str]]) -> None:
    port = int(pair[1][0].rpartition(":")[2])
    seen: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> list[str]:
        seen.append((host, port))
        return ["127.0.0.1"]

    found = Gateways(f"dns+http://masker-gateways:{port}", resolve=resolve).read()
    assert (list(found.processes), seen) == ([pair[1][0]], [("masker-gateways", port)])


def test_names_are_resolved_by_the_system_and_unknown_ones_are_temporary() -> None:
    assert "127.0.0.1" in addresses("localhost", 80)
    with pytest.raises(TemporaryError, match="MASKER_GATEWAY_URL"):
        addresses("no-such-name.invalid", 80)


@pytest.mark.parametrize("urls", ["", "gateway:8000", "ftp://gateway", "http://a,,http://b", "dns+http://"])
def test_what_is_no_address_is_refused(urls: str) -> None:
    with pytest.raises(BadInputError, match="MASKER_GATEWAY_URL"):
        Gateways(urls)


def test_a_table_counts_as_read_when_all_have_read_it() -> None:
    one, other = (Counting().snapshot().model_copy(update={"revision": number}) for number in (8, 7))
    assert together({"a": one, "b": other}).revision == 7


def test_each_process_starts_anew_for_itself() -> None:
    steady, old, new = Counting(start=5.0), Counting(start=5.0), Counting(start=9.0)
    for counting in (steady, old):
        for _ in range(4):
            counting.answer("1", 200)
    before = together({"a": steady.snapshot(), "b": old.snapshot()})
    for counting in (steady, new):
        counting.answer("1", 200)
    found = interval(before, together({"a": steady.snapshot(), "b": new.snapshot()}), ARMS, seconds=1.0, share=0.5)
    assert found.arms["champion"].requests == 2


def test_a_gateway_that_came_up_in_between_counts_from_the_next_interval_on() -> None:
    steady, late = Counting(), Counting()
    before = together({"a": steady.snapshot()})
    for counting in (steady, late):
        counting.answer("1", 200)
    between = together({"a": steady.snapshot(), "b": late.snapshot()})
    late.answer("1", 200)
    after = together({"a": steady.snapshot(), "b": late.snapshot()})
    counts = [interval(*pair, ARMS, seconds=1.0, share=0.5) for pair in ((before, between), (between, after))]
    assert [each.arms["champion"].requests for each in counts] == [1, 1]


def test_readings_of_one_and_of_several_gateways_are_not_compared() -> None:
    counting = Counting()
    counting.answer("1", 200)
    found = interval(counting.snapshot(), together({"a": counting.snapshot()}), ARMS, seconds=1.0, share=0.5)
    assert found.arm("champion") is None


def test_what_another_examiner_scored_is_left_out() -> None:
    countings = [Counting() for _ in range(3)]
    before = together({str(at): counting.snapshot() for at, counting in enumerate(countings)})
    for counting, examiner in zip(countings, ("abc", "abc", "def"), strict=True):
        counting.examiner = examiner
        counting.answer("1", 200)
        counting.quality.add(Quality(0.4, 1, 0.0), "1", SHARE, examiner)
    after = together({str(at): counting.snapshot() for at, counting in enumerate(countings)})
    found = interval(before, after, ARMS, seconds=1.0, share=0.5).arms["champion"]
    assert (after.examiner, found.requests, found.measures["face_found"]) == ("abc", 3, Events(n=2, events=2))


@given(VALUES, VALUES)
def test_moments_of_both_are_those_of_all_values(one: list[float], other: list[float]) -> None:
    (found,) = added(
        [Arm(requests=20, errors=0, measures={"leak": moments(each)}) for each in (one, other)]
    ).measures.values()
    expected = moments(one + other)
    assert isinstance(found, Moments)
    assert (found.n, found.mean, found.var) == (
        expected.n,
        pytest.approx(expected.mean),
        pytest.approx(expected.var, abs=1e-12),
    )


def test_histograms_with_other_bounds_are_missing() -> None:
    parts = [Histogram(bounds=bounds, counts=(1, 0)) for bounds in ((1.0,), (2.0,))]
    assert added([Arm(requests=1, errors=0, measures={"latency_ms": part}) for part in parts]).measures == {}
