from __future__ import annotations

import numpy as np
import pytest
import torch

from identity_masker.faces import render
from identity_masker.faces.face_set import FACTORS
from identity_masker.faces.render.drawing import to_bytes
from identity_masker.masking.avatars import AvatarBook
from identity_masker.masking.bottleneck import quantise
from identity_masker.masking.redrawing import mask_pictures, redraw, remove

PEOPLE, SHOTS = np.arange(12), np.arange(12)
AVATARS = AvatarBook(0xFACE, 64, "only for this test").numbers([f"user-{number}" for number in range(12)])


def pictures_of(drawn: render.Rendered) -> torch.Tensor:
    return torch.from_numpy(drawn.images).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def scene() -> render.Rendered:
    return render.draw(61, PEOPLE, SHOTS, 64)


@pytest.fixture(scope="module")
def code(scene: render.Rendered) -> torch.Tensor:
    return quantise(torch.from_numpy(scene.factors), 6)


def test_two_people_in_the_same_scene_are_masked_alike_to_the_byte(scene: render.Rendered, code: torch.Tensor) -> None:
    others = render.draw_as(61, PEOPLE, SHOTS, PEOPLE[::-1].copy(), 64)
    assert not np.array_equal(scene.images, others.images)
    ours = to_bytes(mask_pictures(pictures_of(scene), code, AVATARS))
    theirs = to_bytes(mask_pictures(pictures_of(others), code, AVATARS))
    assert torch.equal(ours, theirs)


def test_no_pixel_inside_the_hull_reaches_the_output(scene: render.Rendered, code: torch.Tensor) -> None:
    pictures = pictures_of(scene)
    _, hole = remove(pictures, code)
    vandalised = torch.where(hole.unsqueeze(1), torch.rand_like(pictures), pictures)
    assert torch.equal(mask_pictures(pictures, code, AVATARS), mask_pictures(vandalised, code, AVATARS))


def test_outside_the_hull_nothing_changes(scene: render.Rendered, code: torch.Tensor) -> None:
    pictures = pictures_of(scene)
    _, hole = remove(pictures, code)
    outside = ~hole.unsqueeze(1).expand(-1, 3, -1, -1)
    assert torch.equal(mask_pictures(pictures, code, AVATARS)[outside], pictures[outside])


def test_the_avatar_lies_inside_the_hull() -> None:
    """Otherwise its edge would be cut by a line."""
    generator = torch.Generator().manual_seed(1)
    codes = quantise(torch.rand(64, len(FACTORS), generator=generator) * 2 - 1, 6)
    everyone = AvatarBook(0xFACE, 64, "x")._numbers
    grey = torch.full((64, 3, 64, 64), 0.5)
    _, hole = remove(grey, codes)
    unbounded = redraw(grey, torch.ones_like(hole), codes, everyone)
    changed = (unbounded - grey).abs().amax(dim=1) > 0.02
    assert not bool((changed & ~hole).any())


def test_a_large_picture_drawn_in_strips_equals_the_small_one_in_what_it_shows(code: torch.Tensor) -> None:
    large = render.draw(61, PEOPLE[:2], SHOTS[:2], 256)
    masked = mask_pictures(pictures_of(large), code[:2], AVATARS[:2])
    small = mask_pictures(pictures_of(render.draw(61, PEOPLE[:2], SHOTS[:2], 64)), code[:2], AVATARS[:2])
    shrunk = torch.nn.functional.avg_pool2d(masked, 4)
    assert float((shrunk - small).abs().mean()) < 0.03


def test_avatars_look_different_with_the_same_code(scene: render.Rendered, code: torch.Tensor) -> None:
    one = mask_pictures(pictures_of(scene)[:1].expand(8, -1, -1, -1), code[:1].expand(8, -1), AVATARS[:8])
    assert float((one[0] - one[1]).abs().mean()) > 0.01
