"""Variations of training pictures that do not change, or change in a known way, what the labels say."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from identity_masker.faces.face_set import FACTORS
from identity_masker.masking.supervision import Batch

MIRRORED_FACTORS = ("yaw", "roll", "shift_x", "gaze_x", "light_azimuth")
CONTRAST = 0.15
BRIGHTNESS = 0.10
GRAIN = 0.03

SIGNS = torch.tensor([-1.0 if name in MIRRORED_FACTORS else 1.0 for name in FACTORS])


def mirror(batch: Batch, chosen: Tensor) -> Batch:
    """The batch with the rows `chosen` (N,) bool seen in a mirror."""
    images = torch.where(chosen[:, None, None, None], batch.images.flip(2), batch.images)
    factors = torch.where(chosen[:, None], batch.factors * SIGNS.to(batch.factors.device), batch.factors)
    return Batch(images, factors)


def vary_light(pictures: Tensor, generator: Generator) -> Tensor:
    """Pictures (N, 3, H, W) in [-1, 1] with other exposure, contrast and grain, all channels alike.

    `generator` is on the device of the pictures.
    """
    each, device = (len(pictures), 1, 1, 1), pictures.device
    contrast = 1 + CONTRAST * (2 * torch.rand(each, generator=generator, device=device) - 1)
    brightness = BRIGHTNESS * (2 * torch.rand(each, generator=generator, device=device) - 1)
    grain = GRAIN * torch.rand(each, generator=generator, device=device)
    noise = torch.randn(pictures.shape, generator=generator, device=device) * grain
    return (pictures * contrast + brightness + noise).clamp(-1.0, 1.0)
