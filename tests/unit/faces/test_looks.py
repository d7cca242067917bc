from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.faces.looks import looks


@given(st.integers(0, 2**32 - 1), st.integers(16, 70), st.integers(1, 3))
def test_a_picture_looks_alike_alone_and_beside_others_at_every_size(seed: int, size: int, count: int) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    together = looks(images)
    assert together.shape == (count, 632)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together[-1], looks(images[-1:])[0], rtol=1e-4, atol=1e-3)


def test_black_and_plain_pictures_have_finite_vectors() -> None:
    assert np.isfinite(looks(np.zeros((1, 64, 64, 3), dtype=np.uint8))).all()
    assert np.isfinite(looks(np.full((1, 64, 64, 3), 255, dtype=np.uint8))).all()


def test_more_light_moves_a_picture_less_than_other_colours_do() -> None:
    grey = np.random.default_rng(0).integers(60, 120, (1, 64, 64, 3), dtype=np.uint8)
    seen = looks(np.concatenate([grey, grey + 10, grey[..., ::-1] + np.array([60, 0, 0], dtype=np.uint8)]))
    assert np.linalg.norm(seen[1] - seen[0]) < np.linalg.norm(seen[2] - seen[0])


def test_a_turned_edge_is_another_look() -> None:
    stripes = np.zeros((1, 64, 64, 3), dtype=np.uint8)
    stripes[:, ::4] = 200
    seen = looks(np.concatenate([stripes, stripes.transpose(0, 2, 1, 3)]))
    assert np.linalg.norm(seen[1] - seen[0]) > 10
