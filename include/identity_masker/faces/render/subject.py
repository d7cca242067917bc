"""Painting a person into a picture. The masker draws its avatars with the same function."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from identity_masker.faces.render import features, hair
from identity_masker.faces.render.features import Surface
from identity_masker.faces.render.geometry import Factors, Grid, Plane, Pose, plane_of, pose_of, to_sphere
from identity_masker.faces.render.light import Light, illumination, light_of, received
from identity_masker.faces.render.people import Person
from identity_masker.faces.render.shapes import cover, paint, shade, soft


@dataclass(frozen=True)
class Regions:
    """Covers (N, H, W) in [0, 1]: the skin of the face, and all of the person but the cloth."""

    face: Tensor
    head: Tensor


@dataclass(frozen=True)
class Sitter:
    """Who is painted, how turned, in which light, on which pixels."""

    person: Person
    factors: Factors
    pose: Pose
    light: Light
    plane: Plane


def paint_subject(
    canvas: Tensor, grid: Grid, cloth: Tensor, cloth_cover: Tensor, person: Person, factors: Factors
) -> Regions:
    """Paint the person over `canvas` (N, 3, H, W), the pixels of `grid`, in place, from back to front.

    `cloth` comes over neck and long hair where `cloth_cover` (N, H, W) says.
    """
    pose = pose_of(person, factors)
    sitter = Sitter(person, factors, pose, light_of(factors, pose.place), plane_of(pose.place, grid))
    behind = _paint_behind(canvas, sitter)
    paint(canvas, cloth, cloth_cover)
    outline = _paint_face(canvas, sitter)
    cap = _paint_hair(canvas, sitter)
    ears = _paint_ears(canvas, sitter, outline)
    head = torch.maximum(torch.maximum(outline, cap), torch.maximum(ears, behind * (1 - cloth_cover)))
    return Regions(face=outline * (1 - cap) * (1 - ears), head=head)


def _paint_behind(canvas: Tensor, sitter: Sitter) -> Tensor:
    """Long hair and the neck, darker under the chin."""
    person, light, plane = sitter.person, sitter.light, sitter.plane
    flat = torch.ones_like(sitter.pose.place.scale)
    fall = hair.back_hair(person, sitter.pose, plane)
    paint(canvas, features.hair_colour(person) * illumination(light, flat * 0.25), fall)
    throat = hair.neck(person, plane)
    lit = received(light, plane.body_x * 1.6, flat * 0.0, flat * 0.6)
    shadow = soft(plane.y, 1.35, 0.85) * 0.75
    paint(canvas, features.skin_colour(person) * illumination(light, lit * (1 - shadow)), throat)
    return torch.maximum(fall, throat)


def _paint_ears(canvas: Tensor, sitter: Sitter, outline: Tensor) -> Tensor:
    """The ears, over the hair: the one turned to the viewer whole, the other as far as it stands out of the head."""
    skin = features.skin_colour(sitter.person) * 0.93
    seen = torch.zeros_like(outline)
    for side in (-1.0, 1.0):
        towards = sitter.pose.right[2] * side
        outer, inner = hair.ear(sitter.person, sitter.pose, sitter.plane, side)
        outer = outer * torch.maximum(1 - outline, soft(towards, 0.04, 0.22))
        lit = received(sitter.light, torch.full_like(towards, 0.55 * side), towards * 0, towards.clamp(min=0.0) + 0.6)
        paint(canvas, skin * illumination(sitter.light, lit), outer)
        shade(canvas, inner * outer * -0.28)
        seen = torch.maximum(seen, outer)
    return seen


def _paint_face(canvas: Tensor, sitter: Sitter) -> Tensor:
    """The skin of the head with everything drawn on it."""
    person, factors, pose, light = sitter.person, sitter.factors, sitter.pose, sitter.light
    on, normal, outline = surface_of(pose, sitter.plane)
    tone = features.hair_colour(person)
    face = features.skin_colour(person).expand(-1, -1, *outline.shape[-2:]).clone()
    features.paint_marks(face, person, on)
    features.paint_beard(face, person, on, tone * 0.8)
    features.paint_mouth(face, person, features.mouth_of(person, factors), on)
    features.paint_eyes(face, person, factors, on)
    features.paint_brows(face, person, factors, on, tone)
    features.paint_nose(face, person, on.lifted(pose.right[2], pose.down[2], features.NOSE_LIFT), light)
    shade(face, soft(normal[2], 0.45, 0.0) * -0.25)
    paint(canvas, face.mul_(illumination(light, received(light, *normal))), outline)
    return outline


def _paint_hair(canvas: Tensor, sitter: Sitter) -> Tensor:
    """The hair on the skull, on a shell around the head."""
    person, light = sitter.person, sitter.light
    shell, normal, outline = surface_of(sitter.pose, sitter.plane, person.hair_volume)
    cap = hair.hair_cap(person, shell, outline)
    tone = features.hair_colour(person) * (hair.strands(person, shell) + 1).unsqueeze(1)
    paint(canvas, tone * illumination(light, received(light, *normal) * 0.8 + 0.15), cap)
    return cap


def surface_of(
    pose: Pose, plane: Plane, grow: Tensor | None = None
) -> tuple[Surface, tuple[Tensor, Tensor, Tensor], Tensor]:
    """Face coordinates of each pixel, the normal in the head plane, and the cover of the outline.

    `grow` (N, 1, 1) makes a shell around the head, as hair is.
    """
    x, y = to_sphere(pose, plane.x, plane.y)
    least = x.new_full((), 0.0025)
    if grow is not None:
        # The band between the two outlines has one depth, so that it is hair or not as a whole.
        least = hair.shell_depth(grow)
        shrink = 1 / (grow + 1)
        x, y = x * shrink, (y + grow * 0.2) * shrink
    radius = x * x + y * y
    z = torch.maximum(1 - radius, least).sqrt()
    right, down, front = pose.right, pose.down, pose.front
    face_x = x * right[0] + z * right[2]
    face_y = x * down[0] + y * down[1] + z * down[2]
    face_z = x * front[0] + y * front[1] + z * front[2]
    stretch = (right[0] - right[2] * x / z).abs().clamp(0.7, 4.0)
    per_unit = plane.per_pixel * pose.half_width
    outline = cover(radius.sqrt() - 1, per_unit)
    return Surface(face_x, face_y, face_z, per_unit / stretch), (x, y, z), outline
