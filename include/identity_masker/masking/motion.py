"""Drawn videos of moving faces, and how much more a masked one flickers than a clear one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from identity_masker.faces.render import drawing, people, scenes
from identity_masker.masking.utility import Kept

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

Images = NDArray[np.uint8]
WORLD = 0x50BE
"""Added to the seed: the world of the people of the videos."""
STEADY = ("shift_x", "shift_y", "scale", "light_azimuth", "light_elevation", "light_strength", "warmth")
"""Factors that change slowly in a video: they go a quarter of the way."""
SLOW = 0.25


def video(seed: int, person: int, frames: int, size: int) -> tuple[Images, NDArray[np.float32]]:
    """(frames, size, size, 3): a person who moves from one expression and pose to another and on to a third.

    The second array holds the factors (frames, 16). The scene stays as it is, and the camera has no noise.
    """
    shots = scenes.scenes(seed + WORLD, np.full(3, person), np.arange(3))
    factors = _path(shots.factors, frames)
    still = shots.rows(0, 1)
    scene = replace(
        scenes.Scene(**{name: value.expand(frames, *value.shape[1:]) for name, value in vars(still).items()}),
        factors=factors,
    )
    unit = people.jittered(people.numbers(seed + WORLD, np.array([person])), still.jitter).expand(frames, -1)
    with torch.no_grad():
        canvas, _ = drawing.paint_scene(scene, people.from_numbers(unit), size)
    return drawing.to_bytes(canvas).numpy(), factors.numpy()


def _path(keys: torch.Tensor, frames: int) -> torch.Tensor:
    """Factors (frames, 16) on a smooth way through `keys` (3, 16), at rest in each."""
    from identity_masker.faces.face_set import FACTORS

    slow = torch.tensor([SLOW if name in STEADY else 1.0 for name in FACTORS])
    keys = keys[:1] + (keys - keys[:1]) * slow
    along = torch.linspace(0.0, 2.0, frames)[:, None]
    leg = along.floor().clamp(max=1.0)
    share = along - leg
    eased = share * share * (3 - 2 * share)
    index = leg.long().squeeze(1)
    return keys[index] * (1 - eased) + keys[index + 1] * eased


def flicker(masker: Masker, seed: int, count: int, frames: int, size: int) -> Kept:
    """Mean second difference in time over `count` videos, levels of 255: what jumps, where motion would be smooth."""
    clear, masked = [], []
    for person in range(count):
        images, _ = video(seed, person, frames, size)
        clear.append(jumps(images))
        masked.append(jumps(masker.mask(images, [f"video/{person}"] * frames)))
    return Kept(clear=float(np.mean(clear)), masked=float(np.mean(masked)))


def jumps(images: Images) -> float:
    """Mean absolute second difference of frames (T, H, W, 3)."""
    values = images.astype(np.int16)
    return float(np.abs(values[2:] - 2 * values[1:-1] + values[:-2]).mean())
