from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from identity_masker.masking.fitting import SHIFT, fit, moved, offsets, shuffled


@given(st.integers(1, 40), st.integers(1, 20))
def test_a_pass_has_every_row_at_most_once(count: int, batch: int) -> None:
    size = min(batch, count)
    rows = np.concatenate(list(islice(shuffled(count, batch, np.random.default_rng(0)), count // size)))
    assert len(rows) == len(set(rows.tolist())) == count // size * size
    assert set(rows.tolist()) <= set(range(count))


def test_pictures_move_by_their_offsets() -> None:
    images = np.zeros((3, 9, 9, 3), np.uint8)
    images[:, 4, 4] = 255
    shifts = np.array([[0, 0], [2, -1], [-2, 2]])
    bright = [tuple(np.argwhere(image[..., 0])[0]) for image in moved(images, shifts)]
    assert bright == [(4, 4), (6, 3), (2, 6)]


def test_offsets_stay_within_reach() -> None:
    drawn = offsets(500, np.random.default_rng(0))
    assert np.abs(drawn).max() == SHIFT


def test_fitting_finds_a_line() -> None:
    torch.manual_seed(0)
    x = torch.linspace(-1, 1, 64)[:, None]
    line = nn.Linear(1, 1)
    fit(
        line, lambda rows: ((line(x[rows]) - (3 * x[rows] + 1)) ** 2).mean(),
        shuffled(64, 16, np.random.default_rng(0)), steps=300, learning_rate=0.1,
    )  # fmt: skip
    assert line.weight.item() == pytest.approx(3, abs=0.2)
    assert line.bias.item() == pytest.approx(1, abs=0.2)
