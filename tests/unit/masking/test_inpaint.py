from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_masker.masking.inpaint import fill


def disc(height: int, width: int, radius: float) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return (rows**2 + columns**2 < radius**2).unsqueeze(0)


@settings(deadline=None, max_examples=25)
@given(height=st.integers(16, 70), width=st.integers(16, 70), radius=st.floats(0.1, 1.2), seed=st.integers(0, 99))
def test_nothing_inside_the_hole_is_read_and_nothing_outside_is_changed(
    height: int, width: int, radius: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    picture = torch.rand(1, 3, height, width, generator=generator)
    hole = disc(height, width, radius)
    other = torch.where(hole.unsqueeze(1), torch.rand(picture.shape, generator=generator), picture)
    filled = fill(picture, hole)
    assert torch.equal(filled, fill(other, hole))
    outside = ~hole.expand(3, -1, -1)
    assert torch.equal(filled[0][outside], picture[0][outside])
    assert bool(torch.isfinite(filled).all())
    assert float(filled.min()) >= 0
    assert float(filled.max()) <= 1 + 1e-5


def test_not_even_infinity_gets_out_of_the_hole() -> None:
    hole = disc(32, 32, 0.5)
    picture = torch.where(hole.unsqueeze(1), torch.inf, 0.25)
    assert torch.allclose(fill(picture.expand(1, 3, 32, 32), hole), torch.full((1, 3, 32, 32), 0.25))


@pytest.mark.parametrize("size", [33, 64])
def test_a_slope_is_continued_through_the_hole(size: int) -> None:
    slope = torch.linspace(0, 1, size).reshape(1, 1, 1, size).expand(1, 3, size, size)
    filled = fill(slope, disc(size, size, 0.6))
    assert float((filled - slope).abs().max()) < 0.25
    middle = filled[0, 0, size // 2]
    assert bool((middle.diff() > -0.02).all())


def test_a_picture_that_is_all_hole_becomes_black() -> None:
    filled = fill(torch.ones(1, 3, 16, 16), torch.ones(1, 16, 16, dtype=torch.bool))
    assert torch.equal(filled, torch.zeros(1, 3, 16, 16))
