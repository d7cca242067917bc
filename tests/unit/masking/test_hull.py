from __future__ import annotations

import numpy as np
import pytest
import torch

from identity_masker.faces import render
from identity_masker.faces.render.geometry import by_name, place_of, plane_of, rows_of_picture
from identity_masker.masking.hull import inside_hull


@pytest.fixture(scope="module")
def heads() -> tuple[torch.Tensor, torch.Tensor]:
    """Factors (N, 16) and head masks (N, 64, 64) of people of many shapes."""
    drawn = render.draw(51, np.arange(800), np.arange(800), 64)
    return torch.from_numpy(drawn.factors), torch.from_numpy(drawn.head)


def hulls(factors: torch.Tensor) -> torch.Tensor:
    return inside_hull(plane_of(place_of(by_name(factors)), rows_of_picture(64)))


def test_the_hull_covers_the_heads_of_all_people(heads: tuple[torch.Tensor, torch.Tensor]) -> None:
    factors, head = heads
    assert not bool((head & ~hulls(factors)).any())


def test_the_hull_still_covers_heads_when_the_code_errs(heads: tuple[torch.Tensor, torch.Tensor]) -> None:
    factors, head = heads
    error = 0.1 * torch.randn(factors.shape, generator=torch.Generator().manual_seed(0))
    missed = head & ~hulls(factors + error)
    assert int(missed.flatten(1).any(dim=1).sum()) <= 2


def test_the_hull_does_not_depend_on_expression_light_or_turn(heads: tuple[torch.Tensor, torch.Tensor]) -> None:
    factors, _ = heads
    other = factors.clone()
    other[:, [0, 1, *range(6, 16)]] = 0.0
    assert torch.equal(hulls(factors), hulls(other))


def test_the_hull_leaves_background(heads: tuple[torch.Tensor, torch.Tensor]) -> None:
    factors, _ = heads
    assert float((~hulls(factors)).float().mean()) > 0.3
