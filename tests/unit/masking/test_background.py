from __future__ import annotations

import numpy as np

from identity_masker.masking.alignment import MODEL_FACE
from identity_masker.masking.background import MAX_PSNR, background_psnr, outside_head

SMALL_FACE = ((MODEL_FACE - 0.5) * 0.3 + 0.5)[None]


def test_the_head_is_inside_and_the_corners_are_outside() -> None:
    outside = outside_head(SMALL_FACE, 64, 64)[0]
    assert outside[0, 0]
    assert outside[-1, -1]
    assert not outside[32, 32]
    columns, rows = (SMALL_FACE[0] * 64).astype(int).T
    assert not outside[rows, columns].any()


def test_a_change_of_the_face_alone_leaves_the_background_whole() -> None:
    clear = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    masked = clear.copy()
    masked[:, 28:36, 28:36] = 0
    assert background_psnr(clear, masked, SMALL_FACE) == MAX_PSNR


def test_an_error_of_one_step_is_48_db() -> None:
    clear = np.full((1, 64, 64, 3), 100, np.uint8)
    found = background_psnr(clear, clear + 1, SMALL_FACE)
    assert found is not None
    assert abs(found - 48.13) < 0.01


def test_heads_that_fill_the_pictures_leave_no_background() -> None:
    clear = np.zeros((1, 16, 16, 3), np.uint8)
    assert background_psnr(clear, clear, MODEL_FACE[None]) is None
