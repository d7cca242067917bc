from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.arm_noise import noise_grid
from identity_masker.statistics.comparison import Comparison

MARGIN = math.log(2.0)
THRESHOLD = math.log(20.0)


def test_before_anything_is_seen_there_is_no_evidence() -> None:
    comparison = Comparison(2, MARGIN, noise_grid(0.18, 0.8))
    assert comparison.log_worse == pytest.approx([0.0, 0.0], abs=1e-9)
    assert np.all(comparison.log_not_worse <= 1e-9)


@pytest.mark.parametrize("noise", [0.0, 0.18])
def test_on_average_the_evidence_does_not_grow_when_the_null_holds(noise: float) -> None:
    """Exact: all outcomes of two looks at 6 events each, canary's share 0.3, same level in both arms."""
    outcomes = np.array([(a, b) for a in range(7) for b in range(7)], dtype=np.float64)
    chance = np.prod(stats.binom.pmf(outcomes, 6, 0.3), axis=1)
    comparison = Comparison(len(outcomes), MARGIN, noise_grid(noise, 0.8))
    sizes = np.full(len(outcomes), 300.0)
    for look in (0, 1):
        comparison.counts(outcomes[:, look], 6.0 - outcomes[:, look], sizes, sizes * 7.0 / 3.0)
        assert float(chance @ np.exp(comparison.log_worse)) <= 1.0 + 1e-9
    at_margin = 2.0 * 0.3 / (2.0 * 0.3 + 0.7)
    chance = np.prod(stats.binom.pmf(outcomes, 6, at_margin), axis=1)
    assert float(chance @ np.exp(comparison.log_not_worse)) <= 1.0 + 1e-9


def test_a_level_that_both_arms_share_cancels() -> None:
    """Ten times the errors in both arms at one look, same split: not evidence against the canary."""
    comparison = Comparison(1, MARGIN, noise_grid(0.18, 0.8))
    for factor in (1.0, 1.0, 10.0, 10.0, 1.0, 1.0):
        sizes = np.array([1000.0]), np.array([3000.0])
        comparison.counts(np.array([5.0 * factor]), np.array([15.0 * factor]), *sizes)
    assert comparison.log_worse[0] < 0.0
    assert comparison.log_not_worse[0] > 0.0


def seen_thrice(errors: np.ndarray) -> Comparison:
    """Streams whose canary has `errors` at each of three looks, where the champion's share of them would be 6.7."""
    comparison = Comparison(errors.size, MARGIN, noise_grid(0.18, 0.8))
    for _ in range(3):
        comparison.counts(errors, np.full(errors.size, 20.0), np.full(errors.size, 500.0), np.full(errors.size, 1500.0))
    return comparison


def test_more_errors_in_the_canary_are_more_evidence() -> None:
    comparison = seen_thrice(np.arange(8.0, 40.0, 4.0))
    assert np.all(np.diff(comparison.log_worse) >= 0.0)
    assert np.all(comparison.log_not_worse[2:] < 0.0)
    assert comparison.log_worse[-1] > THRESHOLD > comparison.log_worse[0]


def test_fewer_errors_in_the_canary_condemn_nothing() -> None:
    comparison = seen_thrice(np.array([0.0, 2.0, 4.0]))
    assert np.all(comparison.log_worse < THRESHOLD / 2)
    assert np.all(comparison.log_not_worse > THRESHOLD)


def test_an_effect_that_sets_in_late_is_still_found() -> None:
    comparison = Comparison(1, MARGIN, noise_grid(0.18, 0.8))
    for look in range(60):
        bad = 50.0 if look >= 40 else 10.0
        comparison.counts(np.array([bad]), np.array([30.0]), np.array([1000.0]), np.array([3000.0]))
        if look == 39:
            assert comparison.log_worse[0] < 0.0
    assert comparison.log_worse[0] > THRESHOLD


def test_errors_in_bursts_are_worth_less() -> None:
    even, bursts = Comparison(1, MARGIN, noise_grid(0.18, 0.8)), Comparison(1, MARGIN, noise_grid(0.18, 0.8))
    for look in range(20):
        some = 8.0 if look % 4 == 0 else 0.0
        even.counts(np.array([2.0]), np.array([2.0]), np.array([250.0]), np.array([750.0]))
        other = 8.0 if look % 4 == 1 else 0.0
        bursts.counts(np.array([some]), np.array([other]), np.array([250.0]), np.array([750.0]))
    assert even.log_worse[0] > 2.0 * bursts.log_worse[0]
    assert bursts.burst_factor[0] > 2.0


def test_tolerance_moves_what_counts_as_worse() -> None:
    strict, lenient = (Comparison(1, MARGIN, noise_grid(0.0, 0.8), tolerance) for tolerance in (0.0, 0.5))
    for _ in range(10):
        for comparison in (strict, lenient):
            comparison.counts(np.array([75.0]), np.array([150.0]), np.array([1000.0]), np.array([3000.0]))
    assert strict.log_worse[0] > THRESHOLD > lenient.log_worse[0]


@pytest.mark.parametrize(("margin", "tolerance"), [(0.5, 0.5), (0.5, -0.1), (0.0, 0.0)])
def test_tolerance_has_to_lie_below_the_margin(margin: float, tolerance: float) -> None:
    with pytest.raises(BadInputError, match="out of order"):
        Comparison(1, margin, noise_grid(0.1, 0.8), tolerance)


def simulate(rng: np.random.Generator, canary: float, wander: float, runs: int = 400) -> Comparison:
    """30 looks at 2,000 requests, 30 % on the canary, champion 1 %; the largest log e-values are kept on the result."""
    comparison = Comparison(runs, MARGIN, noise_grid(0.18, 0.8))
    levels = np.zeros((2, runs))
    worse, not_worse = np.zeros(runs), np.zeros(runs)
    for look in range(30):
        fresh = rng.normal(size=levels.shape)
        levels = fresh if look == 0 else 0.8 * levels + 0.6 * fresh
        rates = np.array([canary, 0.01])[:, None] * np.exp(wander * levels)
        counts = [rng.binomial(size, rate).astype(float) for size, rate in zip((600, 1400), rates, strict=True)]
        comparison.counts(counts[0], counts[1], np.full(runs, 600.0), np.full(runs, 1400.0))
        worse, not_worse = np.maximum(worse, comparison.log_worse), np.maximum(not_worse, comparison.log_not_worse)
    comparison.found = (worse >= THRESHOLD).mean(), (not_worse >= THRESHOLD).mean()  # type: ignore[attr-defined]
    return comparison


@pytest.mark.parametrize("wander", [0.0, 0.15])
def test_looking_at_every_batch_keeps_false_alarms_below_alpha(wander: float) -> None:
    """Also when each arm's level wanders by itself with correlation 0.8. 400 runs: three standard errors are .033."""
    rng = np.random.default_rng(4)
    assert simulate(rng, 0.01, wander).found[0] <= 0.05  # type: ignore[attr-defined]
    assert simulate(rng, 0.02, wander).found[1] <= 0.05  # type: ignore[attr-defined]


def test_what_is_there_is_found() -> None:
    rng = np.random.default_rng(5)
    assert simulate(rng, 0.03, 0.0).found[0] >= 0.99  # type: ignore[attr-defined]
    assert simulate(rng, 0.01, 0.0).found[1] >= 0.95  # type: ignore[attr-defined]
