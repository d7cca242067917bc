from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_masker.errors import BadInputError
from identity_masker.statistics import power

effects = st.floats(0.02, 3.0)
alphas = st.floats(0.001, 0.2)
powers = st.floats(0.5, 0.99)
shares = st.floats(0.02, 0.98)


@settings(max_examples=50, deadline=None)
@given(effect=effects, alpha=alphas, wanted=powers, method=st.sampled_from(["t", "z"]))
def test_size_for_means_has_exactly_the_power_asked_for(
    effect: float, alpha: float, wanted: float, method: str
) -> None:
    n = power.sample_size_means(effect, alpha, wanted, method=method)
    found = power.power_means(n, effect, alpha, method=method)
    assert found == pytest.approx(wanted, abs=1e-8) or (n == 2.0 and found > wanted)


@given(p1=shares, p2=shares, alpha=alphas, wanted=powers, method=st.sampled_from(list(power.PROPORTION_METHODS)))
def test_size_for_proportions_has_exactly_the_power_asked_for(
    p1: float, p2: float, alpha: float, wanted: float, method: str
) -> None:
    if abs(p1 - p2) < 0.005:
        return
    n = power.sample_size_proportions(p1, p2, alpha, wanted, method)
    assert power.power_proportions(n, p1, p2, alpha, method) == pytest.approx(wanted, abs=1e-7)


def test_published_sizes() -> None:
    # statsmodels TTestIndPower; Evan Miller's calculator (20 % → 25 %); statsmodels NormalIndPower with Cohen's h.
    assert power.sample_size_means(0.5) == pytest.approx(63.7656, abs=1e-4)
    assert round(power.sample_size_proportions(0.2, 0.25, method="evan_miller")) == 1030
    assert math.ceil(power.sample_size_proportions(0.1, 0.11, method="arcsine")) == 14_745


def test_one_sided_size_is_that_of_the_two_sided_test_at_twice_alpha_but_for_the_far_tail() -> None:
    one = power.sample_size_means(0.3, 0.025, 0.9, "larger")
    assert one == pytest.approx(power.sample_size_means(0.3, 0.05, 0.9), rel=1e-6)
    assert one == pytest.approx(power.sample_size_means(-0.3, 0.025, 0.9, "smaller"), rel=1e-12)


def test_unequal_arms_need_more_units_together() -> None:
    equal = power.sample_size_means(0.2)
    uneven = power.sample_size_means(0.2, ratio=3.0)
    assert uneven < equal
    assert 4.0 * uneven > 2.0 * equal


def test_far_tail_is_integrated_where_the_library_gives_up() -> None:
    assert power.power_means(2, 20.0) == pytest.approx(0.99, abs=0.02)
    assert power.sample_size_means(20.0) == 2.0


@settings(max_examples=40, deadline=None)
@given(n=st.floats(10, 1e6), alpha=alphas, wanted=powers)
def test_detectable_effect_inverts_the_power(n: float, alpha: float, wanted: float) -> None:
    effect = power.detectable_effect_means(n, alpha, wanted)
    assert power.power_means(n, effect, alpha) == pytest.approx(wanted, abs=1e-8)


def test_detectable_proportion_inverts_the_size_or_says_that_there_is_none() -> None:
    n = power.sample_size_proportions(0.1, 0.11)
    assert power.detectable_proportion(n, 0.1) == pytest.approx(0.11, abs=1e-9)
    assert power.detectable_proportion(3, 0.9) is None


@pytest.mark.parametrize(
    "call",
    [
        lambda: power.sample_size_means(0.0),
        lambda: power.sample_size_means(float("nan")),
        lambda: power.sample_size_means(0.2, alpha=0.0),
        lambda: power.sample_size_means(0.2, power=1.0),
        lambda: power.sample_size_means(0.2, alpha=0.5, power=0.3),
        lambda: power.sample_size_means(-0.2, alternative="larger"),
        lambda: power.sample_size_means(0.2, alternative="sideways"),
        lambda: power.sample_size_means(1e-12),
        lambda: power.sample_size_means(0.2, ratio=0.0),
        lambda: power.sample_size_proportions(0.1, 0.1),
        lambda: power.sample_size_proportions(0.0, 0.1),
        lambda: power.sample_size_proportions(0.1, 1.1),
        lambda: power.sample_size_proportions(0.1, 0.2, method="guess"),
        lambda: power.relative_variance(1, 0, 10, 1, 1, 10),
        lambda: power.power_means(1, 0.5),
    ],
)
def test_impossible_questions_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInputError):
        call()
