from __future__ import annotations

import numpy as np
import pytest
from tests.unit.masking.maskers import faces, small_masker

from identity_masker.errors import BadInputError
from identity_masker.masking.baselines import BlackBox
from identity_masker.masking.strength import Weakened, blended

CLEAR = faces(4).images


def test_no_strength_leaves_pictures_and_full_strength_is_the_maskers_own() -> None:
    masked = small_masker().mask(CLEAR, list("abcd"))
    assert np.array_equal(blended(CLEAR, masked, 0.0), CLEAR)
    assert np.array_equal(Weakened(small_masker(), 1.0).mask(CLEAR, list("abcd")), masked)


def test_pictures_go_evenly_from_the_one_to_the_other() -> None:
    half = Weakened(BlackBox(), 0.5).mask(CLEAR, list("abcd"))
    assert np.abs(half.astype(int) * 2 - CLEAR).max() <= 1


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strengths_outside_the_range_are_refused(strength: float) -> None:
    with pytest.raises(BadInputError, match="0 \\(untouched\\) to 1"):
        blended(CLEAR, CLEAR, strength)
