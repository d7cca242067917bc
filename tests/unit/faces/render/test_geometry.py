from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.faces.render import people
from identity_masker.faces.render.geometry import (
    by_name,
    cosine,
    place_of,
    plane_of,
    pose_of,
    project,
    rows_of_picture,
    sine,
    to_head_plane,
    to_sphere,
)
from identity_masker.faces.render.subject import surface_of

factor_rows = st.lists(st.floats(-1, 1, width=32), min_size=16, max_size=16)


@given(angle=st.floats(-1.5, 1.5))
def test_sine_and_cosine_agree_with_the_library(angle: float) -> None:
    value = torch.tensor([angle], dtype=torch.float32)
    assert sine(value).item() == pytest.approx(math.sin(angle), abs=1e-5)
    assert cosine(value).item() == pytest.approx(math.cos(angle), abs=1e-5)


@given(row=factor_rows, x=st.floats(-0.4, 0.4), y=st.floats(-0.4, 0.5))
def test_projecting_a_point_of_the_face_and_looking_it_up_gives_the_point(row: list[float], x: float, y: float) -> None:
    person = people.from_numbers(people.numbers(3, np.array([5])))
    pose = pose_of(person, by_name(torch.tensor([row])))
    point_x, point_y = torch.full((1, 1, 1), x), torch.full((1, 1, 1), y)
    seen_x, seen_y = to_sphere(pose, *to_head_plane(pose.place, *project(pose, point_x, point_y)))
    z = (1 - seen_x**2 - seen_y**2).clamp(min=0).sqrt()
    right, down = pose.right, pose.down
    assert (seen_x * right[0] + z * right[2]).item() == pytest.approx(x, abs=2e-3)
    assert (seen_x * down[0] + seen_y * down[1] + z * down[2]).item() == pytest.approx(y, abs=2e-3)


def test_the_axes_of_the_face_are_orthonormal() -> None:
    person = people.from_numbers(people.numbers(3, np.arange(50)))
    pose = pose_of(person, by_name(torch.rand(50, 16) * 2 - 1))
    axes = torch.stack([torch.cat(axis, dim=1).squeeze(-1) for axis in (pose.right, pose.down, pose.front)], dim=1)
    assert torch.allclose(axes @ axes.transpose(1, 2), torch.eye(3).expand(50, 3, 3), atol=1e-4)


def test_rows_of_a_picture_are_a_part_of_the_whole_to_the_bit() -> None:
    place = place_of(by_name(torch.rand(2, 16) * 2 - 1))
    whole, part = plane_of(place, rows_of_picture(70)), plane_of(place, rows_of_picture(70, 13, 31))
    assert torch.equal(whole.x[:, 13:31], part.x)
    assert torch.equal(whole.body_y[:, 13:31], part.body_y)


def test_the_outline_of_the_head_covers_its_middle_and_not_the_corners() -> None:
    person = people.from_numbers(people.numbers(3, np.arange(20)))
    pose = pose_of(person, by_name(torch.zeros(20, 16)))
    _, _, outline = surface_of(pose, plane_of(pose.place, rows_of_picture(64)))
    assert bool((outline[:, 30, 32] == 1).all())
    assert bool((outline[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 0).all())
