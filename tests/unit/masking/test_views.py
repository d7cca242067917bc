from __future__ import annotations

import numpy as np
import torch

from identity_masker.faces import render
from identity_masker.faces.render import people
from identity_masker.faces.render.geometry import by_name, rows_of_picture
from identity_masker.faces.render.subject import paint_subject
from identity_masker.masking.views import EXPRESSION, LIGHT, PLACE, POSE, unrolled, upright, whole


def posed(**pose: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean person on grey with the given factors, and the factors (1, 16)."""
    from identity_masker.faces.face_set import FACTORS

    factors = torch.zeros(1, 16)
    factors[0, FACTORS.index("blink")] = -0.6
    for name, value in pose.items():
        factors[0, FACTORS.index(name)] = value
    canvas = torch.full((1, 3, 128, 128), 0.5)
    person = people.from_numbers(torch.full((1, len(people.TRAITS)), 0.5))
    paint_subject(canvas, rows_of_picture(128), canvas.clone(), torch.zeros(1, 128, 128), person, by_name(factors))
    return canvas, factors


def test_the_groups_share_out_all_factors() -> None:
    assert sorted(POSE + LIGHT + EXPRESSION) == list(range(16))
    assert POSE[2:] == PLACE


def test_the_upright_view_undoes_place_and_scale() -> None:
    straight, straight_factors = posed()
    moved, moved_factors = posed(roll=0.8, shift_x=0.7, shift_y=-0.6, scale=0.5)
    apart = (straight - moved).abs().mean()
    views = upright(straight, straight_factors[:, PLACE], 48), upright(moved, moved_factors[:, PLACE], 48)
    # Light does not turn with the head, so the views are close and not equal.
    assert float((views[0] - views[1]).abs().mean()) < 0.4 * float(apart)


def test_the_unrolled_view_undoes_the_turn_of_the_head() -> None:
    front, front_factors = posed()
    turned, turned_factors = posed(yaw=0.6, pitch=-0.4)
    aligned = unrolled(turned, turned_factors[:, POSE], 48)
    not_aligned = unrolled(turned, front_factors[:, POSE], 48)
    target = unrolled(front, front_factors[:, POSE], 48)
    eyes = slice(10, 26)
    closer = (aligned - target)[:, :, eyes].abs().mean()
    assert float(closer) < 0.6 * float((not_aligned - target)[:, :, eyes].abs().mean())


def test_readings_far_out_of_range_still_give_a_view() -> None:
    picture = torch.rand(2, 3, 64, 64)
    assert upright(picture, torch.full((2, 4), 50.0), 32).isfinite().all()
    assert unrolled(picture, torch.full((2, 6), -50.0), 32).isfinite().all()


def test_the_whole_view_is_the_picture_smaller() -> None:
    drawn = torch.from_numpy(render.draw(1, np.arange(2), np.arange(2), 64).images).permute(0, 3, 1, 2).float()
    assert whole(drawn, 32).shape == (2, 3, 32, 32)
    assert torch.allclose(whole(drawn, 32).mean(), drawn.mean(), rtol=1e-5)
