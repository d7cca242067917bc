from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.faces.near_duplicates import near_pairs


@given(st.lists(st.integers(1, 2**62), min_size=1, max_size=30), st.integers(0, 3), st.data())
def test_pairs_are_those_that_comparing_all_with_all_finds(hashes: list[int], bits: int, data: st.DataObject) -> None:
    flipped = [one ^ (1 << data.draw(st.integers(0, 61))) ^ (1 << data.draw(st.integers(0, 61))) for one in hashes]
    rows = np.array([one for one in hashes + flipped if one], dtype=np.int64)
    expected = [
        [first, second]
        for first in range(len(rows))
        for second in range(first + 1, len(rows))
        if (int(rows[first]) ^ int(rows[second])).bit_count() <= bits
    ]
    assert near_pairs(rows, bits).tolist() == expected


def test_plain_areas_are_not_alike() -> None:
    assert near_pairs(np.zeros(5, dtype=np.int64)).shape == (0, 2)


def test_more_bits_than_the_bands_allow_are_refused() -> None:
    with pytest.raises(ValueError, match="0 to 3"):
        near_pairs(np.zeros(5, dtype=np.int64), 4)
