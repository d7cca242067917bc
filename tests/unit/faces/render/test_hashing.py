from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.faces.render import hashing

seeds = st.integers(0, 2**40)


@given(seed=seeds, stream=st.integers(0, 9), index=st.integers(0, 2**40), count=st.integers(1, 40))
def test_a_row_is_the_same_alone_and_in_a_batch(seed: int, stream: int, index: int, count: int) -> None:
    alone = hashing.uniform(hashing.row_keys(seed, stream, np.array([index])), count)
    batch = hashing.uniform(hashing.row_keys(seed, stream, np.array([3, index, 7])), count + 5)
    assert np.array_equal(alone[0], batch[1, :count])


def test_numbers_are_spread_evenly_over_the_unit_interval() -> None:
    numbers = hashing.uniform(hashing.row_keys(1, 2, np.arange(2000)), 50)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
    expected = numbers.size / 20
    # chi-square with 19 degrees of freedom: 43.8 is its 0.999 quantile
    assert ((counts - expected) ** 2 / expected).sum() < 43.8


def test_rows_columns_seeds_and_streams_are_not_correlated() -> None:
    index = np.arange(4000)
    columns = [
        hashing.uniform(hashing.row_keys(seed, stream, index), 2) for seed, stream in ((1, 1), (1, 2), (2, 1), (3, 0))
    ]
    correlation = np.corrcoef(np.concatenate(columns, axis=1), rowvar=False)
    assert np.abs(correlation - np.eye(8)).max() < 0.06


def test_the_order_of_indices_matters() -> None:
    first, second = np.array([5]), np.array([9])
    assert hashing.row_keys(1, 1, first, second) != hashing.row_keys(1, 1, second, first)


def test_grain_has_mean_zero_and_variance_one() -> None:
    noise = hashing.grain(hashing.row_keys(4, 3, np.arange(8)), 20_000)
    assert abs(float(noise.mean())) < 0.01
    assert abs(float(noise.std()) - 1) < 0.01


@given(seed=seeds, count=st.integers(1, 500))
def test_a_device_makes_the_same_grain_to_the_bit(seed: int, count: int) -> None:
    keys = hashing.row_keys(seed, 3, np.arange(3))
    signed = torch.from_numpy(keys.astype(np.uint32).view(np.int32))
    assert np.array_equal(hashing.grain_on_device(signed, count).numpy(), hashing.grain(keys, count))
