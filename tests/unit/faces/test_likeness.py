"""Near duplicates, found where they were planted and nowhere else."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.faces.descriptors import embed, perceptual_hash
from identity_masker.faces.likeness import HASH_BITS, LOOK, near_duplicates


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Blurred noise: pictures with different looks."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3))
    return np.kron(small, np.ones((1, 4, 4, 1))).astype(np.uint8)


def test_a_copy_with_noise_or_more_light_is_found_and_no_other_picture() -> None:
    originals = pictures(300)
    noise = np.random.default_rng(1).normal(0, 4, (20, 32, 32, 3))
    noisy = np.clip(originals[:20] + noise, 0, 255).astype(np.uint8)
    lighter = np.clip(originals[20:40].astype(int) * 0.97 + 4, 0, 255).astype(np.uint8)
    seen = embed(np.concatenate([originals, noisy, lighter]))
    pairs = near_duplicates(perceptual_hash(seen), seen)
    assert set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == {(n, 300 + n) for n in range(40)}


@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_pairs_are_those_that_comparing_all_with_all_finds(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 4, count).astype(np.int64) << rng.integers(0, 60, count)
    seen = rng.normal(0, 0.02, (count, 3)).astype(np.float32)
    apart = np.bitwise_count(hashes[:, None].astype(np.uint64) ^ hashes[None].astype(np.uint64))
    distance = ((seen[:, None] - seen[None]) ** 2).sum(axis=2)
    expected = np.argwhere(np.triu((apart <= HASH_BITS) & (distance <= LOOK**2), 1))
    np.testing.assert_array_equal(np.stack(near_duplicates(hashes, seen), axis=1), expected)


def test_nothing_and_one_picture_have_no_pairs() -> None:
    for count in (0, 1):
        found = near_duplicates(np.zeros(count, np.int64), np.zeros((count, 3), np.float32))
        assert len(found.first) == len(found.second) == 0
