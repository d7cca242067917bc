from __future__ import annotations

import numpy as np
import pytest
from tests.unit.masking.maskers import faces

from identity_masker.masking.similarity import ssim

CLEAR = faces(4).images


def test_equal_pictures_are_alike_and_noise_makes_them_less_so() -> None:
    assert ssim(CLEAR, CLEAR) == pytest.approx(1.0)
    random = np.random.default_rng(0)
    likeness = [
        ssim(CLEAR, np.clip(CLEAR + random.normal(0, s, CLEAR.shape), 0, 255).astype(np.uint8)) for s in (5, 40)
    ]
    assert 1.0 > likeness[0] > likeness[1] > 0.0


def test_flat_pictures_are_as_alike_as_the_formula_says() -> None:
    # No variance: (2ab + c) / (a² + b² + c) with a = 0.4, b = 0.8, c = 1e-4
    flat = [np.full((1, 32, 32, 3), level, np.uint8) for level in (102, 204)]
    assert ssim(*flat) == pytest.approx((2 * 0.4 * 0.8 + 1e-4) / (0.16 + 0.64 + 1e-4), abs=1e-4)
