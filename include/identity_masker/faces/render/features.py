"""What is drawn on the skin: nose, mouth, eyes, brows and marks, in face coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from identity_masker.faces.render.geometry import Factors
from identity_masker.faces.render.light import Light
from identity_masker.faces.render.people import Person
from identity_masker.faces.render.shapes import cover, ellipse, paint, palette, rgb, shade, soft

SKIN = ((0.34, 0.21, 0.15), (0.50, 0.32, 0.22), (0.68, 0.47, 0.34), (0.85, 0.65, 0.51), (0.97, 0.82, 0.71))
IRIS = (
    (0.14, 0.08, 0.04),
    (0.38, 0.23, 0.09),
    (0.42, 0.46, 0.18),
    (0.22, 0.52, 0.42),
    (0.26, 0.50, 0.82),
    (0.55, 0.62, 0.68),
)
LIPS = ((0.48, 0.16, 0.16), (0.74, 0.26, 0.26), (0.80, 0.38, 0.44), (0.60, 0.28, 0.36))
HAIR = (
    (0.05, 0.04, 0.05), (0.20, 0.12, 0.07), (0.40, 0.24, 0.12),
    (0.60, 0.24, 0.09), (0.80, 0.62, 0.30), (0.66, 0.66, 0.68),
)  # fmt: skip
NOSE_Y = -0.06
NOSE_LIFT = 0.16
BROW_REACH = 0.11


@dataclass(frozen=True)
class Surface:
    """The visible half of the head: face coordinates of each pixel and 1 / the pixel's width in them."""

    x: Tensor
    y: Tensor
    z: Tensor
    per_pixel: Tensor

    def lifted(self, view_x: Tensor, view_y: Tensor, lift: float) -> Surface:
        """The same pixels on a surface `lift` above: parallax moves what stands out of the face.

        (view_x, view_y) is where the viewer is, in face coordinates.
        """
        return Surface(self.x - view_x * lift, self.y - view_y * lift, self.z, self.per_pixel)


@dataclass(frozen=True)
class Mouth:
    """Measures of the mouth in face coordinates."""

    half_width: Tensor
    height: Tensor
    bend: Tensor
    gap: Tensor

    def corner_y(self) -> Tensor:
        return self.height - self.bend * 0.62


def skin_colour(person: Person) -> Tensor:
    tone = palette(SKIN, person.skin_tone)
    hue = person.skin_hue
    return tone * torch.stack([hue + 1, torch.ones_like(hue), 1 - hue], dim=1)


def hair_colour(person: Person) -> Tensor:
    return palette(HAIR, person.hair_tone)


def mouth_of(person: Person, factors: Factors) -> Mouth:
    smile, opened = factors["smile"], factors["mouth_open"] * 0.5 + 0.5
    return Mouth(
        half_width=person.mouth_width * (smile * 0.20 + 1 - opened * 0.10),
        height=person.mouth_height - 0.02 * smile,
        bend=smile * 0.15,
        gap=opened * 0.18,
    )


def paint_marks(skin: Tensor, person: Person, on: Surface) -> None:
    """Blush, freckles and two moles."""
    cheek = 1 - ((on.x.abs() - 0.50) ** 2 + (on.y - 0.30) ** 2) * 14
    paint(skin, rgb(skin, (0.85, 0.32, 0.30)), cheek.clamp_(min=0.0) * person.blush * 0.6)
    paint_freckles(skin, person, on)
    for x, y, size in (
        (person.mole_x, person.mole_y, person.mole_size),
        (person.second_mole_x, person.second_mole_y, person.second_mole_size),
    ):
        dx, dy = on.x - x, on.y - y
        dot = cover((dx * dx + dy * dy).sqrt() - size, on.per_pixel) * (size > 0)
        paint(skin, rgb(skin, (0.16, 0.08, 0.06)), dot * 0.9)


def paint_freckles(skin: Tensor, person: Person, on: Surface) -> None:
    """One dot in each cell of a grid, its place and size hashed from the person and the cell."""
    cells = 9.0
    across, along = (on.x + 2) * cells, (on.y + 2) * cells
    column, row = across.floor(), along.floor()
    word = (column + row * 64 + person.freckle_pattern.floor() * 4096).to(torch.int32)
    word = word * 0x2C1B3C6D
    word = (word ^ ((word >> 15) & 0x1FFFF)) * 0x297A2D39
    word = word ^ ((word >> 15) & 0x1FFFF)
    offset_x = (word & 255).to(torch.float32) * (0.5 / 255) + 0.25
    offset_y = ((word >> 8) & 255).to(torch.float32) * (0.5 / 255) + 0.25
    size = ((word >> 16) & 255).to(torch.float32) * (0.20 / 255) + 0.08
    dx, dy = across - column - offset_x, along - row - offset_y
    dot = cover((dx * dx + dy * dy).sqrt() - size, on.per_pixel * (1 / cells))
    band = soft(on.y, -0.12, 0.05) * soft(on.y, 0.48, 0.26) * soft(on.z, 0.35, 0.60) * person.freckles.clamp(min=0.0)
    shade(skin, dot * band * -0.5)


def paint_beard(skin: Tensor, person: Person, on: Surface, colour: Tensor) -> None:
    """Beard over jaw and chin, moustache over the lip; negative amounts are a shaved face."""
    edge = person.beard_reach - 0.30 * (on.x * on.x)
    below = soft(on.y, edge - 0.06, edge + 0.06) * soft(on.z, -0.1, 0.15)
    around = soft(ellipse(on.x, on.y - person.mouth_height, person.mouth_width * 0.95, 0.11), -0.02, 0.05)
    beard = below * around * person.beard.clamp(0.0, 0.45) * 2
    lip = person.mouth_height - 0.115
    tash = cover(ellipse(on.x, on.y - lip - on.x * on.x * 0.8, person.mouth_width * 0.95, 0.058), on.per_pixel)
    paint(skin, colour, beard)
    paint(skin, colour, tash * person.moustache.clamp(0.0, 0.45) * 2)


def paint_nose(skin: Tensor, person: Person, on: Surface, light: Light) -> None:
    """A ridge that catches the light on one side, wings, nostrils and the shadow below."""
    along = ((on.y - NOSE_Y) / (person.nose_length + 0.02)).clamp(0.0, 1.0)
    half_width = person.nose_bridge + (person.nose_width - person.nose_bridge) * along * along
    across = on.x / half_width
    ridge = (1 - across * across).clamp(min=0.0)
    inside = soft(on.y, NOSE_Y - 0.10, NOSE_Y + 0.06) * cover(on.y - (person.nose_length + NOSE_Y + 0.10), on.per_pixel)
    side = across.clamp(-1.5, 1.5) * (1.6 - across.abs()).clamp(0.0, 1.0)
    shade(skin, inside * side * light.x * light.strength * 0.75)
    shade(skin, inside * ridge * 0.10)
    tip_y = person.nose_length + NOSE_Y
    under = ellipse(on.x, on.y - tip_y - 0.10, person.nose_width * 0.95, 0.035)
    shade(skin, cover(under, on.per_pixel) * -0.35)
    wings = ellipse(on.x.abs() - person.nose_width * 0.80, on.y - tip_y - 0.045, person.nose_width * 0.30, 0.055)
    shade(skin, cover(wings.abs() - 0.012, on.per_pixel) * -0.25)
    holes = ellipse(on.x.abs() - person.nose_width * 0.48, on.y - tip_y - 0.075, person.nose_width * 0.26, 0.024)
    shade(skin, cover(holes, on.per_pixel) * person.nostrils * -0.75)


def paint_mouth(skin: Tensor, person: Person, mouth: Mouth, on: Surface) -> None:
    across = on.x / mouth.half_width
    square = across * across
    arch = (1 - square).clamp(min=0.0)
    middle = mouth.height + mouth.bend * (0.38 - square)
    top_inner = middle - mouth.gap * 0.35 * arch
    bottom_inner = middle + mouth.gap * arch
    bow = 1 - 0.30 * (1 - across.abs() * 5).clamp(0.0, 1.0)
    top = top_inner - person.lip_upper * arch * bow
    bottom = bottom_inner + person.lip_lower * arch
    sides = (across.abs() - 1) * mouth.half_width
    lips = cover(torch.maximum(torch.maximum(top - on.y, on.y - bottom), sides), on.per_pixel)
    colour = palette(LIPS, person.lip_colour)
    paint(skin, colour, lips * person.lip_strength)
    shade(skin, cover(torch.maximum(top - on.y, on.y - middle), on.per_pixel) * lips * -0.12)
    hollow = torch.maximum(torch.maximum(top_inner - on.y, on.y - bottom_inner), sides)
    inside = cover(hollow, on.per_pixel)
    paint(skin, rgb(skin, (0.16, 0.03, 0.04)), inside)
    teeth = torch.maximum(hollow, on.y - (top_inner + mouth.gap * 0.40))
    paint(skin, rgb(skin, (0.93, 0.91, 0.86)), cover(teeth + 0.006, on.per_pixel) * inside)
    line = torch.maximum((on.y - middle).abs() - 0.010, sides + 0.01)
    closed = (1 - mouth.gap * 20).clamp(min=0.0)
    paint(skin, colour * 0.35, cover(line, on.per_pixel) * closed * 0.9)


def paint_eyes(skin: Tensor, person: Person, factors: Factors, on: Surface) -> None:
    """Both eyes at once, the left one mirrored; only the gaze tells them apart."""
    mirror = torch.where(on.x < 0, -1.0, 1.0)
    dx, dy = on.x.abs() - person.eye_distance, on.y - person.eye_height
    x, y = dx, dy + person.eye_tilt * dx
    width = person.eye_width
    across = x / width
    arch = (1 - across * across).clamp(min=0.0)
    share = 0.5 - 0.5 * factors["blink"]
    opened = share * (1.5 - 0.5 * share) * 1.15
    upper = -person.eye_opening * opened * arch * 1.05 + 0.012 * (1 - opened)
    lower = person.eye_opening * 0.72 * arch * (opened * 0.75 + 0.15)
    upper = torch.minimum(upper + (1 - opened).clamp(min=0.0) * 0.075 * arch, lower)
    sides = (across.abs() - 1) * width
    shadow = ellipse(x, y + 0.05, width * 1.35, person.eye_opening * 1.7)
    shade(skin, soft(shadow, 0.04, -0.08) * person.eye_shadow * -0.5)
    opening = torch.maximum(torch.maximum(upper - y, y - lower), sides)
    white = cover(opening, on.per_pixel)
    paint(skin, rgb(skin, (0.95, 0.94, 0.92)), white)
    gaze_x = factors["gaze_x"] * mirror * width * 0.52
    gaze_y = factors["gaze_y"] * person.eye_opening * 0.62
    ix, iy = x - gaze_x, y - gaze_y
    radius = (ix * ix + iy * iy).sqrt()
    iris = person.iris_size * 1.12
    paint(skin, palette(IRIS, person.iris_tone), cover(radius - iris, on.per_pixel) * white)
    paint(skin, rgb(skin, (0.03, 0.03, 0.03)), cover(radius - iris * 0.48, on.per_pixel) * white)
    spark = ((ix * mirror + iris * 0.35) ** 2 + (iy + iris * 0.4) ** 2).sqrt() - iris * 0.26
    paint(skin, rgb(skin, (1.0, 1.0, 1.0)), cover(spark, on.per_pixel) * white * 0.9)
    lash = torch.maximum((y - upper).abs() - person.lashes, sides - 0.01)
    paint(skin, rgb(skin, (0.07, 0.05, 0.05)), cover(lash, on.per_pixel) * 0.9)
    rim = torch.maximum((y - lower).abs() - 0.010, sides)
    shade(skin, cover(rim, on.per_pixel) * -0.30)


def paint_brows(skin: Tensor, person: Person, factors: Factors, on: Surface, colour: Tensor) -> None:
    """Raised and arched when `brow` is positive, lowered and drawn together when negative."""
    raised = factors["brow"]
    x = on.x.abs() - person.eye_distance + (-raised).clamp(min=0.0) * 0.05
    across = x / person.brow_length
    base = person.eye_height - person.brow_height - raised * BROW_REACH
    arch = person.brow_arch * (1 - across * across) + raised.clamp(min=0.0) * 0.05 * (1 - across * across)
    frown = (-raised).clamp(min=0.0) * 0.10 * (-across).clamp(-1.0, 1.0)
    middle = base - arch + frown - person.eye_tilt * x * 0.8
    thick = person.brow_thickness * (1 - 0.45 * across.clamp(-0.4, 1.2))
    line = torch.maximum((on.y - middle).abs() - thick, (across.abs() - 1) * person.brow_length)
    paint(skin, colour * 0.7, cover(line, on.per_pixel) * person.brow_darkness)
