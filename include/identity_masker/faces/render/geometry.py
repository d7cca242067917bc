"""Where things are: from the picture to the head and back, and the landmarks.

Frames. Picture: x right, y down, both in [-1, 1]. Head plane: picture moved to the head's middle, turned by
roll, divided by scale. Sphere: the head plane with the head's outline warped to the unit circle; the visible
half of the unit sphere stands over it. Face: the sphere turned by yaw and pitch, so that the face is at z = 1.

Sine and cosine are polynomials: vectorised library functions may round differently in the tail of a tensor
than in its body, additions and multiplications cannot.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from identity_masker.faces.face_set import FACTORS
from identity_masker.faces.render.people import Person

YAW_RANGE = 0.65
PITCH_RANGE = 0.40
ROLL_RANGE = 0.35
SHIFT_X_RANGE = 0.15
SHIFT_Y_RANGE = 0.10
MIDDLE_Y = -0.08
MEAN_SCALE = 0.60
SCALE_RANGE = 0.15
DEPTH = 0.12
"""How much wider the head gets in profile."""


def sine(angle: Tensor) -> Tensor:
    """Taylor polynomial of degree 9: error < 4e-6 for |angle| ≤ π/2."""
    square = angle * angle
    series = square * (1 / 362880) - 1 / 5040
    series = series * square + 1 / 120
    series = series * square - 1 / 6
    return angle * (series * square + 1)


def cosine(angle: Tensor) -> Tensor:
    """Taylor polynomial of degree 10: error < 5e-7 for |angle| ≤ π/2."""
    square = angle * angle
    series = square * (-1 / 3628800) + 1 / 40320
    series = series * square - 1 / 720
    series = series * square + 1 / 24
    series = series * square - 0.5
    return series * square + 1


Factors = dict[str, Tensor]


def by_name(factors: Tensor) -> Factors:
    """(N, 16) → name: (N, 1, 1)."""
    return {name: factors[:, column].reshape(-1, 1, 1) for column, name in enumerate(FACTORS)}


@dataclass(frozen=True)
class Place:
    """Where N heads are in the picture, whoever they belong to; all tensors (N, 1, 1)."""

    centre_x: Tensor
    centre_y: Tensor
    scale: Tensor
    roll_cos: Tensor
    roll_sin: Tensor


@dataclass(frozen=True)
class Pose:
    """How N heads of certain people are turned: the face's axes seen on the sphere, and the shape of the outline."""

    place: Place
    right: tuple[Tensor, Tensor, Tensor]
    down: tuple[Tensor, Tensor, Tensor]
    front: tuple[Tensor, Tensor, Tensor]
    half_width: Tensor
    half_height: Tensor
    taper: Tensor
    jaw: Tensor


def place_of(factors: Factors) -> Place:
    roll = factors["roll"] * ROLL_RANGE
    return Place(
        centre_x=factors["shift_x"] * SHIFT_X_RANGE,
        centre_y=factors["shift_y"] * SHIFT_Y_RANGE + MIDDLE_Y,
        scale=(factors["scale"] * SCALE_RANGE + 1) * MEAN_SCALE,
        roll_cos=cosine(roll),
        roll_sin=sine(roll),
    )


def pose_of(person: Person, factors: Factors) -> Pose:
    yaw, pitch = factors["yaw"] * YAW_RANGE, factors["pitch"] * PITCH_RANGE
    ys, yc, ps, pc = sine(yaw), cosine(yaw), sine(pitch), cosine(pitch)
    zero = torch.zeros_like(ys)
    return Pose(
        place=place_of(factors),
        right=(yc, zero, -ys),
        down=(-ps * ys, pc, -ps * yc),
        front=(ys * pc, ps, yc * pc),
        half_width=person.head_width * (ys * ys * DEPTH + 1),
        half_height=person.head_height,
        taper=person.taper,
        jaw=person.jaw,
    )


@dataclass(frozen=True)
class Grid:
    """Some rows of a square picture: pixel centres x (1, 1, W), y (1, H, 1), and pixels per picture unit."""

    x: Tensor
    y: Tensor
    density: float


def rows_of_picture(size: int, top: int = 0, bottom: int | None = None, device: torch.device | None = None) -> Grid:
    """The rows top .. bottom of a picture of `size` pixels, by default all."""
    centres = (torch.arange(size, dtype=torch.float32, device=device) * 2 + 1 - size) / float(size)
    return Grid(centres.reshape(1, 1, size), centres[top:bottom].reshape(1, -1, 1), size / 2)


def to_head_plane(place: Place, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    inverse = 1 / place.scale
    dx, dy = (x - place.centre_x) * inverse, (y - place.centre_y) * inverse
    return dx * place.roll_cos + dy * place.roll_sin, dy * place.roll_cos - dx * place.roll_sin


def from_head_plane(place: Place, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    turned_x, turned_y = x * place.roll_cos - y * place.roll_sin, x * place.roll_sin + y * place.roll_cos
    return turned_x * place.scale + place.centre_x, turned_y * place.scale + place.centre_y


@dataclass(frozen=True)
class Plane:
    """Pixels in the head plane: turned with the head (x, y) and upright (body_x, body_y); 1 / pixel width."""

    x: Tensor
    y: Tensor
    body_x: Tensor
    body_y: Tensor
    per_pixel: Tensor


def plane_of(place: Place, grid: Grid) -> Plane:
    x, y = to_head_plane(place, grid.x, grid.y)
    inverse = 1 / place.scale
    body_x, body_y = (grid.x - place.centre_x) * inverse, (grid.y - place.centre_y) * inverse
    return Plane(x, y, body_x, body_y, place.scale * grid.density)


def outline(pose: Pose, y: Tensor) -> Tensor:
    """Half width of the head at sphere height y, relative to an ellipse: narrower to the chin, wider at the jaw."""
    y = y.clamp(-1.2, 1.2)
    low = y.clamp(min=0.0)
    return 1 - pose.taper * y * (y.abs() * 0.35 + 0.65) + pose.jaw * low * (2 - low * 1.4)


def to_sphere(pose: Pose, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    sphere_y = y / pose.half_height
    return x / (pose.half_width * outline(pose, sphere_y)), sphere_y


def project(pose: Pose, x: Tensor, y: Tensor, lift: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
    """Picture position of the point of the face with sphere coordinates (x, y), `lift` above the surface."""
    z = (1 - x * x - y * y).clamp(min=0.02).sqrt()
    z = z + lift
    right, down, front = pose.right, pose.down, pose.front
    sphere_x = x * right[0] + y * down[0] + z * front[0]
    sphere_y = x * right[1] + y * down[1] + z * front[1]
    plane_y = sphere_y * pose.half_height
    return from_head_plane(pose.place, sphere_x * pose.half_width * outline(pose, sphere_y), plane_y)
