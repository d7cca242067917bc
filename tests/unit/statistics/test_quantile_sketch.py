from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_masker.errors import BadInputError
from identity_masker.statistics.quantile_sketch import QuantileSketch, SortedSample

numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


@given(numbers, st.lists(st.floats(0, 1), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_quantiles_of_plain_samples_are_numpys(values: list[float], shares: list[float]) -> None:
    assert SortedSample.of(values).quantiles(shares) == pytest.approx(np.quantile(values, shares), abs=1e-6)


@given(st.lists(st.lists(st.floats(-100, 100), max_size=30), min_size=1, max_size=8), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_sketch_never_loses_or_invents_weight(chunks: list[list[float]], exact: int) -> None:
    sketch = QuantileSketch(exact=exact, size=4)
    for chunk in chunks:
        sketch.update(chunk)
    kept, everything = sketch.sorted_sample(), [value for chunk in chunks for value in chunk]
    assert kept.count == len(everything)
    assert kept.total[-1] == len(everything)
    assert set(kept.values) <= set(everything)
    assert np.all(np.diff(kept.values) >= 0)


def test_short_streams_are_kept_exactly() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    sketch = QuantileSketch()
    for chunk in np.array_split(values, 7):
        sketch.update(chunk)
    assert sketch.rank_sd == 0.0
    assert np.array_equal(sketch.sorted_sample().values, np.sort(values))


def test_rank_errors_stay_within_what_the_sketch_reports() -> None:
    rng = np.random.default_rng(1)
    values = rng.lognormal(size=300_000)
    places = np.quantile(values, np.linspace(0.01, 0.99, 50))
    truth = np.searchsorted(np.sort(values), places) / values.size
    sketch = QuantileSketch(exact=20_000, size=1024)
    for chunk in np.array_split(np.sort(values), 40):
        sketch.update(chunk)
    errors = sketch.sorted_sample().below(places) - truth
    assert 0.0 < sketch.rank_sd < 0.002
    assert np.max(np.abs(errors)) < 4.0 * sketch.rank_sd


def test_merging_is_as_good_as_one_stream_and_has_the_same_count() -> None:
    rng = np.random.default_rng(2)
    whole, parts = QuantileSketch(exact=5_000, size=512), [QuantileSketch(exact=5_000, size=512) for _ in range(5)]
    values = rng.normal(size=(5, 20_000))
    for part, chunk in zip(parts, values, strict=True):
        part.update(chunk)
        whole.update(chunk)
    merged = QuantileSketch(exact=5_000, size=512)
    for part in parts:
        merged.merge(part)
    assert merged.count == whole.count == values.size
    assert merged.sorted_sample().total[-1] == values.size
    exact = np.quantile(values, [0.1, 0.5, 0.9])
    assert merged.sorted_sample().quantiles([0.1, 0.5, 0.9]) == pytest.approx(exact, abs=0.02)
    assert merged.rank_sd < 3 * whole.rank_sd


def test_thinned_values_count_for_fewer_independent_observations() -> None:
    sketch = QuantileSketch(exact=1_000, size=64)
    sketch.update(np.random.default_rng(3).normal(size=100_000))
    kept = sketch.sorted_sample()
    assert kept.effective == pytest.approx(0.25 / (0.25 / 100_000 + sketch.rank_sd**2))
    assert kept.effective < kept.count


def test_state_restores_the_sketch() -> None:
    sketch = QuantileSketch(exact=100, size=16, seed=4)
    sketch.update(np.random.default_rng(5).normal(size=2_000))
    again = QuantileSketch.from_state(*sketch.state())
    assert np.array_equal(again.sorted_sample().values, sketch.sorted_sample().values)
    assert (again.count, again.rank_sd) == (sketch.count, sketch.rank_sd)
    more = np.random.default_rng(6).normal(size=500)
    again.update(more)
    sketch.update(more)
    assert np.array_equal(again.sorted_sample().values, sketch.sorted_sample().values)


def test_sketch_refuses_what_has_no_order() -> None:
    with pytest.raises(BadInputError, match="not finite"):
        QuantileSketch().update([1.0, float("nan")])
    with pytest.raises(BadInputError, match="too small"):
        QuantileSketch(exact=0)
