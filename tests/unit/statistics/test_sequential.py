from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.crossing import crossing_probabilities
from identity_masker.statistics.sequential import (
    asymptotic_half_width,
    asymptotic_p_value,
    information_fractions,
    sequential_p_value,
    spending_boundaries,
)

spendings = st.one_of(st.sampled_from(["obrien_fleming", "pocock"]), st.floats(0.5, 5.0))
gains = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("information", "alpha", "spending", "two_sided", "expected"),
    [
        # gsDesign and rpact, sfLDOF / asOF, one-sided .025 (published in both manuals)
        ([1 / 3, 2 / 3, 1], 0.025, "obrien_fleming", False, [3.7103, 2.5114, 1.9930]),
        # Reboussin, DeMets, Kim & Lan (2000), Pocock-type, five looks, two-sided .05
        ([0.2, 0.4, 0.6, 0.8, 1.0], 0.05, "pocock", True, [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
        # gsDesign sfPower / rpact asKD with one look at half: one-sided .025
        ([0.5, 1.0], 0.025, "obrien_fleming", False, [2.9626, 1.9686]),
        ([1.0], 0.05, 3, True, [1.959964]),
    ],
)
def test_published_boundaries(information, alpha, spending, two_sided, expected) -> None:  # type: ignore[no-untyped-def]
    found = spending_boundaries(information, alpha, spending, two_sided)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("looks", "constant"), [(2, 2.178), (3, 2.289), (5, 2.413), (10, 2.555), (20, 2.672)])
def test_pocock_constants_of_jennison_and_turnbull_give_five_percent(looks: int, constant: float) -> None:
    # Jennison & Turnbull, Group Sequential Methods (2000), table 2.1.
    times = np.arange(1, looks + 1) / looks
    exits = crossing_probabilities(times, np.full(looks, constant), np.full(looks, -constant))
    assert exits.above.sum() + exits.below.sum() == pytest.approx(0.05, abs=7e-5)


@pytest.mark.parametrize(("looks", "constant"), [(2, 1.977), (3, 2.004), (5, 2.040), (10, 2.087), (20, 2.126)])
def test_obrien_fleming_constants_of_jennison_and_turnbull_give_five_percent(looks: int, constant: float) -> None:
    # The same book, table 2.3.
    times = np.arange(1, looks + 1) / looks
    bound = constant / np.sqrt(times)
    exits = crossing_probabilities(times, bound, -bound)
    assert exits.above.sum() + exits.below.sum() == pytest.approx(0.05, abs=7e-5)


@given(gain=gains, alpha=st.floats(0.001, 0.3), spending=spendings, two_sided=st.booleans())
@settings(max_examples=60, deadline=None)
def test_all_of_alpha_is_spent_and_no_more(
    gain: list[float], alpha: float, spending: str | float, two_sided: bool
) -> None:
    times = np.cumsum(gain) / np.sum(gain)
    times[-1] = 1.0
    upper = spending_boundaries(times, alpha, spending, two_sided)
    exits = crossing_probabilities(times, upper, -upper if two_sided else np.full(len(gain), -np.inf))
    assert exits.above.sum() + exits.below.sum() == pytest.approx(alpha, abs=1e-10)


def test_boundaries_agree_with_the_multivariate_normal_distribution() -> None:
    times = np.array([0.13, 0.42, 0.55, 1.0])
    bounds = spending_boundaries(times, 0.05, "pocock")
    joint = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))
    inside = stats.multivariate_normal(np.zeros(4), joint, abseps=1e-8, maxpts=500_000, seed=1)
    assert inside.cdf(bounds, lower_limit=-bounds) == pytest.approx(0.95, abs=2e-6)


@given(gain=gains, spending=spendings)
@settings(max_examples=30, deadline=None)
def test_a_look_does_not_depend_on_later_looks(gain: list[float], spending: str | float) -> None:
    times = np.cumsum(gain) / np.sum(gain)
    whole = spending_boundaries(times, 0.05, spending, planned=1.0)
    for looks in range(1, len(gain)):
        part = spending_boundaries(times[:looks], 0.05, spending, planned=1.0)
        np.testing.assert_allclose(part, whole[:looks], rtol=1e-8)


def test_amounts_are_read_as_fractions_of_the_last_or_of_the_plan() -> None:
    np.testing.assert_allclose(information_fractions([100, 250, 400]), [0.25, 0.625, 1.0])
    np.testing.assert_allclose(information_fractions([100, 250], planned=500), [0.2, 0.5])
    np.testing.assert_allclose(information_fractions([0.2, 0.6]), [0.2, 0.6])
    np.testing.assert_allclose(
        spending_boundaries([100, 250, 400], 0.05), spending_boundaries([0.25, 0.625, 1.0], 0.05)
    )


def test_more_information_than_planned_spends_what_is_left() -> None:
    over = spending_boundaries([300, 700, 1200], 0.05, 2, planned=1000)
    exits = crossing_probabilities([0.3, 0.7, 1.2], over, -over)
    assert exits.above.sum() + exits.below.sum() == pytest.approx(0.05, abs=1e-10)


def test_spending_by_another_clock_spends_all_of_alpha_whatever_the_information() -> None:
    information, clock = [40.0, 90.0, 210.0], [0.25, 0.5, 1.0]
    bounds = spending_boundaries(information, 0.05, 2, spending_time=clock)
    exits = crossing_probabilities(np.array(information) / 210, bounds, -bounds)
    np.testing.assert_allclose(np.cumsum(exits.above + exits.below), 0.05 * np.array(clock) ** 2, atol=1e-10)
    z = [0.5, bounds[1], 0.1]
    assert sequential_p_value(z, information, 2, spending_time=clock) == pytest.approx(0.05, rel=1e-6)


def test_a_very_early_look_spends_nothing_and_cannot_be_crossed() -> None:
    bounds = spending_boundaries([0.001, 0.5, 1.0], 0.05, "obrien_fleming")
    assert math.isinf(bounds[0])
    np.testing.assert_allclose(bounds[1:], spending_boundaries([0.5, 1.0], 0.05), rtol=1e-9)


def test_a_spending_function_may_be_given() -> None:
    def hwang_shih_decani(t: float, alpha: float) -> float:  # gamma = -4, gsDesign's default
        return alpha * (1 - math.exp(4 * t)) / (1 - math.exp(4))

    found = spending_boundaries([1 / 3, 2 / 3, 1], 0.025, hwang_shih_decani, two_sided=False)
    np.testing.assert_allclose(found, [3.0107, 2.5465, 1.9992], atol=1e-4)  # gsDesign(k = 3, alpha = .025) manual


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock", 2.0])
def test_sequential_p_value_is_alpha_on_the_boundary(spending: str | float) -> None:
    times = np.array([0.2, 0.5, 0.8, 1.0])
    bounds = spending_boundaries(times, 0.03, spending)
    for look in range(4):
        z = np.zeros(look + 1)
        z[look] = bounds[look]
        assert sequential_p_value(z, times[: look + 1], spending, planned=1.0) == pytest.approx(0.03, rel=1e-6)
        assert sequential_p_value(-z, times[: look + 1], spending, planned=1.0) == pytest.approx(0.03, rel=1e-6)


def test_sequential_p_value_never_grows_and_is_never_below_the_fixed_one() -> None:
    rng = np.random.default_rng(3)
    times = np.arange(1, 9) / 8
    for _ in range(3):
        z = np.cumsum(rng.normal(0.5, math.sqrt(1 / 8), 8)) / np.sqrt(times)
        p = [sequential_p_value(z[:k], times[:k], 2, planned=1.0) for k in range(1, 9)]
        assert all(b <= a * (1 + 1e-6) for a, b in itertools.pairwise(p))
        fixed = 2 * stats.norm.sf(np.maximum.accumulate(np.abs(z)))
        assert np.all(np.array(p) >= fixed * (1 - 1e-9))


def test_one_look_gives_the_fixed_test() -> None:
    assert sequential_p_value([1.7], [1.0]) == pytest.approx(2 * stats.norm.sf(1.7), rel=1e-6)
    assert sequential_p_value([1.7], [1.0], two_sided=False) == pytest.approx(stats.norm.sf(1.7), rel=1e-6)
    assert sequential_p_value([-9.0], [1.0], two_sided=False) == 1.0


def test_extreme_evidence_gives_a_tiny_p_value_not_zero() -> None:
    assert 0.0 < sequential_p_value([30.0], [1.0]) < 1e-190


@given(st.floats(0.5, 8.0), st.floats(100, 1e6))
def test_asymptotic_p_value_is_below_alpha_exactly_outside_the_interval(z: float, n: float) -> None:
    half = asymptotic_half_width(1.0, n, 0.05, 5000) * math.sqrt(n)
    p = asymptotic_p_value(z, n, 0.05, 5000)
    assert (p < 0.05) == (z > half) or math.isclose(z, half, rel_tol=1e-9)


def test_one_sided_sequence_is_narrower_than_the_two_sided_one() -> None:
    assert asymptotic_half_width(1.0, 1000, 0.05, one_sided=True) < asymptotic_half_width(1.0, 1000, 0.05)


def test_published_width_ratios() -> None:
    # Asymptotic confidence sequence over fixed interval with N* = 5000 (stats.md §5).
    for n, ratio in ((100, 3.416), (1000, 1.716), (5000, 1.549), (50_000, 1.654)):
        fixed = stats.norm.isf(0.025) / math.sqrt(n)
        assert asymptotic_half_width(1.0, n, 0.05, 5000) / fixed == pytest.approx(ratio, abs=5e-4)


@pytest.mark.parametrize(
    "call",
    [
        lambda: spending_boundaries([0.5, 0.5], 0.05),
        lambda: spending_boundaries([0.5, 0.4, 1.0], 0.05),
        lambda: spending_boundaries([0.0, 1.0], 0.05),
        lambda: spending_boundaries([], 0.05),
        lambda: spending_boundaries([0.5, float("nan")], 0.05),
        lambda: spending_boundaries([0.5, 0.5 + 1e-9, 1.0], 0.05),
        lambda: spending_boundaries([0.5, 1.0], 0.0),
        lambda: spending_boundaries([0.5, 1.0], 1.0),
        lambda: spending_boundaries([0.5, 1.0], 0.05, "haybittle"),
        lambda: spending_boundaries([0.5, 1.0], 0.05, -1),
        lambda: spending_boundaries([0.5, 1.0], 0.05, lambda t, alpha: 2 * alpha * t),
        lambda: spending_boundaries([0.5, 1.0], 0.05, planned=0),
        lambda: spending_boundaries([0.5, 1.0], 0.05, spending_time=[1.0]),
        lambda: sequential_p_value([1.0], [0.5, 1.0]),
        lambda: sequential_p_value([float("nan")], [1.0]),
        lambda: asymptotic_half_width(-1.0, 100),
        lambda: asymptotic_half_width(1.0, 0),
        lambda: asymptotic_half_width(1.0, 100, 0.6, one_sided=True),
        lambda: crossing_probabilities([0.5, 1.0], [1.0, 1.0], [2.0, 0.0]),
        lambda: crossing_probabilities([0.5, 1.0], [float("nan"), 1.0], [-2.0, 0.0]),
    ],
)
def test_impossible_schedules_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInputError):
        call()
