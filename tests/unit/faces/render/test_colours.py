from __future__ import annotations

import torch

from identity_masker.faces.render.colours import channels, constant, flat, paint, palette, shade


def test_painting_with_no_cover_changes_nothing_and_with_full_cover_everything() -> None:
    canvas = torch.rand(1, 3, 4, 4)
    before = canvas.clone()
    paint(canvas, constant(1.0, 1.0, 1.0), torch.zeros(1, 4, 4))
    assert torch.equal(canvas, before)
    paint(canvas, constant(0.25, 0.25, 0.25), torch.ones(1, 4, 4))
    assert torch.allclose(canvas, torch.full((1, 3, 4, 4), 0.25))


def test_a_palette_gives_its_stops_at_their_places() -> None:
    stops = ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), (0.7, 0.8, 0.9))
    colours = palette(stops, torch.tensor([0.0, 0.5, 1.0]).reshape(-1, 1, 1))
    assert torch.allclose(torch.stack(colours, dim=-1).reshape(3, 3), torch.tensor(stops))


def test_shading_scales_all_channels() -> None:
    canvas = torch.rand(2, 3, 4, 4)
    before = canvas.clone()
    shade(canvas, torch.full((2, 4, 4), -0.5))
    assert torch.allclose(canvas, before / 2)


def test_a_flat_canvas_has_one_colour() -> None:
    canvas = flat(constant(0.1, 0.2, 0.3), torch.zeros(2, 5, 6))
    assert canvas.shape == (2, 3, 5, 6)
    assert all(bool((plane == value).all()) for plane, value in zip(channels(canvas), (0.1, 0.2, 0.3), strict=True))
