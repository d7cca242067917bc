from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.serving.latency import Call, Latency

PIXELS = 64 * 64


def calls(start: float, slope: float, pictures: tuple[int, ...]) -> list[Call]:
    return [Call(n * PIXELS, start + slope * n) for n in pictures]


@given(start=st.floats(0.0, 0.1), slope=st.floats(1e-5, 0.1))
def test_calls_that_lie_on_a_line_give_that_line(start: float, slope: float) -> None:
    latency = Latency(calls(start, slope, (1, 2, 4, 8)))
    assert latency.seconds(6 * PIXELS) == pytest.approx(start + 6 * slope, rel=1e-6)
    assert latency.seconds(12 * PIXELS, calls=2) == pytest.approx(2 * start + 12 * slope, rel=1e-6)


def test_a_machine_that_becomes_slower_is_followed_within_its_memory() -> None:
    latency = Latency(calls(0.01, 0.002, (1, 8)))
    for _ in range(150):
        for call in calls(0.03, 0.006, (2, 5)):
            latency.observe(call)
    assert latency.seconds(4 * PIXELS) == pytest.approx(0.03 + 4 * 0.006, rel=0.05)


def test_where_all_calls_are_alike_the_calibration_says_what_a_picture_more_costs() -> None:
    latency = Latency(calls(0.01, 0.002, (1, 2, 4, 8)))
    for _ in range(1000):
        latency.observe(Call(8 * PIXELS, 0.026))
    assert latency.seconds(8 * PIXELS) == pytest.approx(0.026, rel=0.01)
    assert latency.seconds(PIXELS) == pytest.approx(0.012, rel=0.2)


def test_one_stall_does_not_make_everything_look_late() -> None:
    latency = Latency(calls(0.01, 0.002, (1, 8)))
    for _ in range(50):
        latency.observe(Call(PIXELS, 0.012))
    latency.observe(Call(PIXELS, 60.0))
    assert latency.seconds(PIXELS) < 0.03


@given(st.lists(st.tuples(st.integers(1, 1 << 22), st.floats(1e-6, 10.0)), min_size=1, max_size=60))
def test_no_expectation_is_negative_and_more_never_takes_less(found: list[tuple[int, float]]) -> None:
    latency = Latency()
    for pixels, seconds in found:
        latency.observe(Call(pixels, seconds))
    slope, start = latency.line
    assert slope >= 0
    assert start >= 0
    assert latency.fastest == min(seconds for _, seconds in found)
