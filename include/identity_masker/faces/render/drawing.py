"""Drawing pictures of people: the same numbers give the same pixels, alone or in a batch, on any machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from identity_masker.errors import BadInputError
from identity_masker.faces.render import backdrop, features, people, scenes
from identity_masker.faces.render import light as lighting
from identity_masker.faces.render.geometry import by_name, place_of, plane_of, pose_of, project, rows_of_picture
from identity_masker.faces.render.people import Person
from identity_masker.faces.render.scenes import Scene
from identity_masker.faces.render.subject import Regions, paint_subject

SMALLEST, LARGEST = 64, 256
Painter = Callable[[Scene, Tensor, int], Tensor]
CHUNK_PIXELS = 8 * 64 * 64
"""Pixels drawn at a time: what stays in the second-level cache."""


@dataclass(frozen=True)
class Rendered:
    """Pictures with everything that is known about them; one row an image.

    images     (N, size, size, 3) uint8, RGB
    people     (N,) index of the person
    factors    (N, 16) float32 in [-1, 1], in the order of `FACTORS`
    landmarks  (N, 10, 2) float32, x and y as fractions of width and height
    face       (N, size, size) bool, skin of the face
    head       (N, size, size) bool, face, hair, ears and neck
    """

    images: NDArray[np.uint8]
    people: NDArray[np.int64]
    factors: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    face: NDArray[np.bool_]
    head: NDArray[np.bool_]


def draw(seed: int, people_indices: NDArray[np.int64], shots: NDArray[np.int64], size: int = 64) -> Rendered:
    """Picture number `shots[i]` of person `people_indices[i]` in the world of `seed`.

    `size` is the side in pixels, 64 to 256. Raises `BadInputError` for a size or indices outside the range.
    """
    return draw_as(seed, people_indices, shots, people_indices, size)


def draw_as(
    seed: int,
    people_indices: NDArray[np.int64],
    shots: NDArray[np.int64],
    others: NDArray[np.int64],
    size: int = 64,
    *,
    others_seed: int | None = None,
) -> Rendered:
    """The scenes of (`people_indices[i]`, `shots[i]`) with person `others[i]` in them.

    The others come from the world of `others_seed`, by default the same as the scenes'.
    """
    owners, taken, drawn = (np.asarray(array, dtype=np.int64) for array in (people_indices, shots, others))
    _check(owners, taken, drawn, size)
    scene = scenes.scenes(seed, owners, taken)
    unit = people.numbers(seed if others_seed is None else others_seed, drawn)
    step = max(1, CHUNK_PIXELS // (size * size))
    with torch.no_grad():
        parts = [_picture(scene.rows(at, at + step), unit[at : at + step], size) for at in range(0, len(scene), step)]
    images, landmarks, face, head = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return Rendered(images, drawn, scene.factors.numpy(), landmarks, face, head)


def landmarks_of(person: Person, factors: Tensor) -> Tensor:
    """(N, 10, 2) in [0, 1], in the order of `LANDMARKS`; differentiable in the factors (N, 16)."""
    named = by_name(factors)
    pose, mouth = pose_of(person, named), features.mouth_of(person, named)
    inner, outer = person.eye_distance - person.eye_width, person.eye_distance + person.eye_width
    tilt = person.eye_tilt * person.eye_width
    brow = person.eye_height - person.brow_height - named["brow"] * features.BROW_REACH - person.brow_arch
    zero = torch.zeros_like(tilt)
    eye = person.eye_height
    points = [
        (-outer, eye - tilt), (-inner, eye + tilt), (inner, eye + tilt), (outer, eye - tilt),
        (-person.eye_distance, brow), (person.eye_distance, brow),
        (zero, person.nose_length + features.NOSE_Y + 0.03),
        (-mouth.half_width, mouth.corner_y()), (mouth.half_width, mouth.corner_y()),
        (zero, zero + 0.93),
    ]  # fmt: skip
    lifts = [0.0] * 6 + [features.NOSE_LIFT] + [0.0] * 3
    projected = [project(pose, x, y, lift) for (x, y), lift in zip(points, lifts, strict=True)]
    return torch.stack([torch.cat([x, y], dim=-1).squeeze(1) for x, y in projected], dim=1) * 0.5 + 0.5


def draw_on(
    device: torch.device,
    seed: int,
    people_indices: NDArray[np.int64],
    shots: NDArray[np.int64],
    size: int,
    paint: Painter | None = None,
) -> tuple[Tensor, Tensor]:
    """What `draw` gives as images (N, size, size, 3) uint8 and factors (N, 16), drawn in one piece on `device`.

    `paint` is `paint_whole`, compiled or not. Colours may differ from `draw` by one level of 255.
    """
    scene = scenes.scenes(seed, people_indices, shots)
    unit = people.jittered(people.numbers(seed, people_indices), scene.jitter).to(device)
    there = scene.to(device)
    with torch.no_grad():
        return (paint or paint_whole)(there, unit, size), there.factors


def paint_whole(scene: Scene, unit: Tensor, size: int) -> Tensor:
    """Images (N, size, size, 3) uint8 of the people `unit` (N, traits) in `scene`; nothing but tensor arithmetic."""
    canvas, _ = paint_scene(scene, people.from_numbers(unit), size)
    backdrop.add_noise_on_device(canvas, scene)
    return to_bytes(canvas)


def _picture(scene: Scene, unit: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    person = people.from_numbers(people.jittered(unit, scene.jitter))
    canvas, regions = paint_scene(scene, person, size)
    backdrop.add_noise(canvas, scene)
    return to_bytes(canvas), landmarks_of(person, scene.factors), regions.face > 0.5, regions.head > 0.5


def paint_scene(scene: Scene, person: Person, size: int) -> tuple[Tensor, Regions]:
    """The canvas (N, 3, size, size) before the camera's noise, and the regions of the person."""
    factors = by_name(scene.factors)
    place = place_of(factors)
    grid = rows_of_picture(size, device=scene.factors.device)
    plane = plane_of(place, grid)
    canvas = backdrop.background(scene, grid)
    light = lighting.light_of(factors, place)
    flat = torch.full_like(place.scale, 0.55)
    lit = lighting.received(light, plane.body_x * 0.6, flat * 0 - 0.4, flat)
    covered = backdrop.cloth_cover(plane.body_x, plane.body_y, plane.per_pixel)
    cloth = backdrop.cloth(scene, plane.body_x, plane.body_y, lit)
    return canvas, paint_subject(canvas, grid, cloth, covered, person, factors)


def to_bytes(canvas: Tensor) -> Tensor:
    """(N, 3, H, W) in [0, 1] → (N, H, W, 3) uint8, rounded half up."""
    return (canvas * 255 + 0.5).clamp_(0.0, 255.0).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _check(owners: NDArray[np.int64], shots: NDArray[np.int64], others: NDArray[np.int64], size: int) -> None:
    if not SMALLEST <= size <= LARGEST:
        raise BadInputError("the picture size is out of range", got=size, allowed=f"{SMALLEST} to {LARGEST} pixels")
    shapes = {array.shape for array in (owners, shots, others)}
    if len(shapes) != 1 or owners.ndim != 1 or not len(owners):
        raise BadInputError(
            "people and shots are not aligned", got=sorted(shapes), allowed="equal lengths of 1 or more"
        )
    if min(owners.min(), shots.min(), others.min()) < 0:
        raise BadInputError("an index is negative", allowed="indices of 0 or more")
