"""Painting a person into a picture. The masker draws its avatars with the same function."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from identity_masker.faces.render import features, hair
from identity_masker.faces.render import light as lighting
from identity_masker.faces.render.features import Surface
from identity_masker.faces.render.geometry import Factors, Grid, Place, Pose, pose_of, to_head_plane, to_sphere
from identity_masker.faces.render.light import Light
from identity_masker.faces.render.people import Person
from identity_masker.faces.render.shapes import cover, paint, shade, soft


@dataclass(frozen=True)
class Plane:
    """Pixels in the head plane: turned with the head (x, y) and upright (body_x, body_y); 1 / pixel width."""

    x: Tensor
    y: Tensor
    body_x: Tensor
    body_y: Tensor
    per_pixel: Tensor


@dataclass(frozen=True)
class Regions:
    """Covers (N, H, W) in [0, 1]: the skin of the face, and all of the person but the cloth."""

    face: Tensor
    head: Tensor


def plane_of(place: Place, grid: Grid) -> Plane:
    x, y = to_head_plane(place, grid.x, grid.y)
    inverse = 1 / place.scale
    body_x, body_y = (grid.x - place.centre_x) * inverse, (grid.y - place.centre_y) * inverse
    return Plane(x, y, body_x, body_y, place.scale * grid.density)


def surface_of(
    pose: Pose, plane: Plane, grow: Tensor | float = 0.0
) -> tuple[Surface, tuple[Tensor, Tensor, Tensor], Tensor]:
    """Face coordinates of each pixel, the normal in the head plane, and the cover of the outline.

    `grow` > 0 is a shell around the head, as hair is.
    """
    x, y = to_sphere(pose, plane.x, plane.y)
    if not isinstance(grow, float):
        shrink = 1 / (grow + 1)
        x, y = x * shrink, (y + grow * 0.2) * shrink
    radius = x * x + y * y
    z = (1 - radius).clamp(min=0.0025).sqrt()
    right, down, front = pose.right, pose.down, pose.front
    face_x = x * right[0] + z * right[2]
    face_y = x * down[0] + y * down[1] + z * down[2]
    face_z = x * front[0] + y * front[1] + z * front[2]
    stretch = (right[0] - right[2] * x / z).abs().clamp(0.7, 4.0)
    per_unit = plane.per_pixel * pose.half_width
    outline = cover((radius.sqrt() - 1), per_unit)
    return Surface(face_x, face_y, face_z, per_unit / stretch), (x, y, z), outline


def paint_subject(
    canvas: Tensor, grid: Grid, cloth: Tensor, cloth_cover: Tensor, person: Person, factors: Factors
) -> Regions:
    """Paint the person over `canvas` (N, 3, H, W), the pixels of `grid`, in place.

    `cloth` comes over neck and long hair where `cloth_cover` (N, H, W) says.
    """
    pose = pose_of(person, factors)
    light = lighting.light_of(factors, pose.place)
    plane = plane_of(pose.place, grid)
    skin = features.skin_colour(person)
    tone = features.hair_colour(person)
    behind = hair.back_hair(person, pose, plane.x, plane.y, plane.per_pixel)
    paint(canvas, tone * lighting.illumination(light, torch.full_like(pose.place.scale, 0.25)), behind)
    throat = hair.neck(person, plane.body_x, plane.body_y, plane.per_pixel)
    lit = lighting.received(
        light, plane.body_x * 1.6, torch.zeros_like(pose.place.scale), torch.full_like(pose.place.scale, 0.6)
    )
    below = soft(plane.y, 1.35, 0.85)
    paint(canvas, skin * lighting.illumination(light, lit * (1 - below * 0.75)), throat)
    paint(canvas, cloth, cloth_cover)
    places = hair.Ears(plane.x, plane.y, plane.per_pixel, skin)
    hair.paint_ears(canvas, person, pose, light, places, near=False)
    surface, normal, outline = surface_of(pose, plane)
    paint(canvas, paint_face(person, factors, pose, light, surface, normal, skin, tone), outline)
    shell, shell_normal, shell_outline = surface_of(pose, plane, person.hair_volume)
    cap = hair.hair_cap(person, shell, shell_outline)
    shine = lighting.received(light, *shell_normal)
    gloss = tone * (hair.strands(person, shell) + 1).unsqueeze(1) * lighting.illumination(light, shine * 0.8 + 0.15)
    paint(canvas, gloss, cap)
    hair.paint_ears(canvas, person, pose, light, places, near=True)
    head = torch.maximum(torch.maximum(outline, cap), torch.maximum(behind, throat) * (1 - cloth_cover))
    return Regions(face=outline * (1 - cap), head=head)


def paint_face(
    person: Person, factors: Factors, pose: Pose, light: Light, on: Surface, normal: tuple[Tensor, Tensor, Tensor],
    skin: Tensor, tone: Tensor,
) -> Tensor:  # fmt: skip
    """(N, 3, H, W): the skin with all features, lit; its outline is cut later."""
    face = skin.expand(-1, -1, *on.x.shape[-2:]).clone()
    features.paint_marks(face, person, on)
    features.paint_beard(face, person, on, tone * 0.8)
    features.paint_mouth(face, person, features.mouth_of(person, factors), on)
    features.paint_eyes(face, person, factors, on)
    features.paint_brows(face, person, factors, on, tone)
    raised = on.lifted(pose.right[2], pose.down[2], features.NOSE_LIFT)
    features.paint_nose(face, person, raised, light)
    lit = lighting.received(light, *normal)
    shade(face, soft(normal[2], 0.45, 0.0) * -0.25)
    return face.mul_(lighting.illumination(light, lit))
