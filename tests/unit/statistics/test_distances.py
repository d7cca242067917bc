from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.distances import distances, kolmogorov_p_value, rank_variance
from identity_masker.statistics.quantile_sketch import QuantileSketch, SortedSample

values = st.lists(st.floats(-100, 100), min_size=1, max_size=40)
whole = st.lists(st.integers(-4, 4), min_size=1, max_size=40)


@given(values | whole, values | whole)
@settings(max_examples=80, deadline=None)
def test_one_merge_gives_all_distances(a: list[float], b: list[float]) -> None:
    found = distances(SortedSample.of(a), SortedSample.of(b))
    places = np.union1d(a, b)
    steps = [np.searchsorted(np.sort(side), places, side="right") / len(side) for side in (a, b)]
    assert found.ks == pytest.approx(np.max(np.abs(steps[0] - steps[1])), abs=1e-12)
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(a, b), abs=1e-9)
    ranks = stats.mannwhitneyu(b, a, method="asymptotic").statistic if len({*a, *b}) > 1 else len(a) * len(b) / 2
    assert found.rank_mean == pytest.approx(ranks / (len(a) * len(b)), abs=1e-12)
    assert (
        0.0 <= found.transport.low <= found.transport.value <= found.wasserstein + 1e-9 <= found.transport.high + 2e-9
    )


@given(values)
@settings(max_examples=40, deadline=None)
def test_a_sample_is_at_no_distance_from_itself(a: list[float]) -> None:
    found = distances(SortedSample.of(a), SortedSample.of(a))
    assert (found.ks, found.wasserstein, found.ks_p_value) == (0.0, 0.0, 1.0)
    assert found.rank_mean == pytest.approx(0.5)


@pytest.mark.parametrize(("n", "m"), [(100, 100), (100, 100_000), (30_000, 40_000)])
@pytest.mark.parametrize("z", [0.5, 1.0, 1.36, 2.0, 3.0])
def test_p_value_is_scipys_asymptotic_one(n: int, m: int, z: float) -> None:
    size = round(n * m / (n + m))
    expected = stats.kstwo.sf(z / np.sqrt(size), size)
    assert kolmogorov_p_value(z / np.sqrt(size), n, m) == pytest.approx(expected, rel=0.01)


def test_a_sketch_gives_the_distances_of_its_values() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=200_000), rng.normal(0.1, 1.0, size=30_000)
    sketch = QuantileSketch(exact=10_000, size=2_048)
    sketch.update(a)
    exact, close = (
        distances(SortedSample.of(a), SortedSample.of(b)),
        distances(sketch.sorted_sample(), SortedSample.of(b)),
    )
    assert close.ks == pytest.approx(exact.ks, abs=4 * sketch.rank_sd)
    assert close.wasserstein == pytest.approx(exact.wasserstein, abs=0.003)
    assert close.rank_mean == pytest.approx(exact.rank_mean, abs=4 * sketch.rank_sd)


@pytest.mark.parametrize(("shift", "n", "m"), [(0.1, 1_000, 5_000), (0.5, 200, 2_000), (0.3, 1_000, 1_000)])
def test_transport_loses_the_bias_and_its_lower_end_keeps_its_word(shift: float, n: int, m: int) -> None:
    rng = np.random.default_rng(7)
    found = [
        distances(SortedSample.of(rng.normal(size=m)), SortedSample.of(rng.normal(shift, 1, n))).transport
        for _ in range(150)
    ]
    raised, lowered = np.mean([each.low > shift for each in found]), np.mean([each.high < shift for each in found])
    assert raised <= 0.06
    assert lowered <= 0.06
    assert np.mean([each.value for each in found]) == pytest.approx(shift, abs=0.03)


def test_without_drift_the_transport_is_near_zero_at_any_size() -> None:
    rng = np.random.default_rng(8)
    for n in (100, 2_000):
        found = [distances(*(SortedSample.of(rng.normal(size=n)) for _ in "ab")) for _ in range(100)]
        raw, left = np.mean([each.wasserstein for each in found]), np.mean([each.transport.value for each in found])
        assert left < 0.4 * raw
        assert np.mean([each.transport.low > 0.0 for each in found]) <= 0.1


def test_rank_variance_is_one_twelfth_less_ties() -> None:
    assert rank_variance(SortedSample.of(np.arange(1000.0))) == pytest.approx(1 / 12, rel=1e-5)
    assert rank_variance(SortedSample.of([0.0, 1.0])) == pytest.approx(1 / 16)
    assert rank_variance(SortedSample.of([3.0, 3.0, 3.0])) == 0.0


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(BadInputError, match="empty"):
        distances(SortedSample.of([]), SortedSample.of([1.0]))
