"""What a picture shows besides the person: the 16 factors, background, cloth, camera noise."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from identity_masker.faces.face_set import FACTORS
from identity_masker.faces.render import hashing, people

SCENE_STREAM = 2
NOISE_STREAM = 3
GRID = 5
"""Control points of the background, in each direction."""


@dataclass(frozen=True)
class Scene:
    """Scenes of N pictures.

    factors     (N, 16) in [-1, 1], in the order of `FACTORS`
    jitter      (N, traits) in [-1, 1], how far hair and skin are from the person's mean
    background  (N, 3, GRID, GRID) colours in [0, 1]
    bands       (N, 6) in [0, 1): direction x and y, frequency, phase, strength, softness
    cloth       (N, 6) in [0, 1): colour, pattern frequency, pattern strength, neckline
    noise       (N,) standard deviation of the camera's noise in colour units
    noise_keys  (N,) int32, the low bits of the keys of the noise's hash
    """

    factors: Tensor
    jitter: Tensor
    background: Tensor
    bands: Tensor
    cloth: Tensor
    noise: Tensor
    noise_keys: Tensor

    def __len__(self) -> int:
        return len(self.factors)

    def to(self, device: torch.device) -> Scene:
        return Scene(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def rows(self, start: int, stop: int) -> Scene:
        return Scene(
            self.factors[start:stop], self.jitter[start:stop], self.background[start:stop], self.bands[start:stop],
            self.cloth[start:stop], self.noise[start:stop], self.noise_keys[start:stop],
        )  # fmt: skip


def scenes(seed: int, people_indices: NDArray[np.int64], shots: NDArray[np.int64]) -> Scene:
    """The scene of each (person, shot) pair in the world of `seed`."""
    keys = hashing.row_keys(seed, SCENE_STREAM, people_indices, shots)
    widths = [len(FACTORS), len(people.TRAITS), 3 * GRID * GRID, 4, 6, 6, 1]
    unit = torch.from_numpy(hashing.uniform(keys, sum(widths)))
    factors, jitter, control, overall, bands, cloth, noise = torch.split(unit, widths, dim=1)
    return Scene(
        factors=_factors(factors),
        jitter=jitter * 2 - 1,
        background=_background(control.reshape(-1, 3, GRID, GRID), overall),
        bands=bands,
        cloth=cloth,
        noise=noise[:, 0] * 0.025 + 0.004,
        noise_keys=_low_bits(hashing.row_keys(seed, NOISE_STREAM, people_indices, shots)),
    )


def _low_bits(keys: hashing.Words) -> Tensor:
    return torch.from_numpy(keys.astype(np.uint32).view(np.int32))


def _factors(unit: Tensor) -> Tensor:
    """Even over [-1, 1], but eyes are rather open and mouths rather closed."""
    factors = unit * 2 - 1
    for name in ("blink", "mouth_open"):
        column = FACTORS.index(name)
        rare = unit[:, column]
        factors[:, column] = rare * (rare * 0.5 + 0.5) * 2 - 1
    return factors


def _background(control: Tensor, overall: Tensor) -> Tensor:
    """Control colours around one overall colour, more or less varied."""
    base = overall[:, :3].reshape(-1, 3, 1, 1)
    grey = (base[:, :1] + base[:, 1:2] + base[:, 2:]) * (1 / 3)
    base = base * 0.55 + grey * 0.45
    variety = overall[:, 3].reshape(-1, 1, 1, 1) * 1.2 + 0.2
    return ((control - 0.5) * variety + base * 0.8 + 0.1).clamp(0.0, 1.0)
