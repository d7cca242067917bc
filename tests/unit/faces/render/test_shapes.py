from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.faces.render.shapes import cover, ellipse, paint, palette, rounded, soft, wave


def axis(size: int) -> torch.Tensor:
    return (torch.arange(size, dtype=torch.float32) + 0.5) / size * 2 - 1


@given(radius=st.floats(0.1, 0.9), across=st.floats(-0.05, 0.05), along=st.floats(-0.05, 0.05))
def test_the_cover_of_a_disc_adds_up_to_its_area(radius: float, across: float, along: float) -> None:
    x, y = axis(64).reshape(1, -1) - across, axis(64).reshape(-1, 1) - along
    covered = cover(ellipse(x, y, radius, radius), torch.tensor(32.0))
    assert covered.mean().item() * 4 == pytest.approx(math.pi * radius**2, rel=0.02)


def test_an_edge_through_the_middle_of_a_pixel_covers_half_of_it() -> None:
    assert cover(torch.zeros(1), torch.tensor(32.0)).item() == 0.5


def test_a_rounded_corner_lies_inside_the_sharp_one_and_agrees_along_the_sides() -> None:
    across, along = torch.rand(500) * 2 - 1, torch.rand(500) * 2 - 1
    distance = rounded(across, along, 0.2)
    assert bool((distance >= torch.maximum(across, along) - 1e-6).all())
    side = along < -0.2
    assert torch.allclose(distance[side], torch.maximum(across, along)[side], atol=1e-6)


@given(value=st.floats(-2, 3))
def test_a_soft_step_runs_from_zero_to_one_either_way(value: float) -> None:
    rising = soft(torch.tensor(value), 0.0, 1.0).item()
    falling = soft(torch.tensor(value), 1.0, 0.0).item()
    assert 0 <= rising <= 1
    assert rising + falling == pytest.approx(1, abs=1e-5)


@given(phase=st.floats(-20, 20))
def test_a_wave_has_period_one_and_stays_in_range(phase: float) -> None:
    here, next_one = wave(torch.tensor([phase])).item(), wave(torch.tensor([phase + 1])).item()
    assert -1 <= here <= 1
    assert here == pytest.approx(next_one, abs=1e-3)


def test_painting_with_no_cover_changes_nothing_and_with_full_cover_everything() -> None:
    canvas = torch.rand(1, 3, 4, 4)
    before = canvas.clone()
    paint(canvas, torch.ones(1, 3, 1, 1), torch.zeros(1, 4, 4))
    assert torch.equal(canvas, before)
    paint(canvas, torch.full((1, 3, 1, 1), 0.25), torch.ones(1, 4, 4))
    assert torch.allclose(canvas, torch.full((1, 3, 4, 4), 0.25))


def test_a_palette_gives_its_stops_at_their_places() -> None:
    stops = ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), (0.7, 0.8, 0.9))
    colours = palette(stops, torch.tensor([0.0, 0.5, 1.0]).reshape(-1, 1, 1)).reshape(3, 3)
    assert torch.allclose(colours, torch.tensor(stops))
