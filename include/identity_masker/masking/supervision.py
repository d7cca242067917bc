"""What the encoder learns from: labelled faces of the dataset, and faces drawn for the step.

Each batch is a function of (configuration, dataset, step): a resumed training sees what the first one would have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from identity_masker.errors import BadInputError
from identity_masker.faces import render
from identity_masker.faces.face_set import FaceSet
from identity_masker.masking.config import TrainingConfig

DRAWN_WORLD = 0x7EAC
"""Added to the seed: the world of the people that are drawn for training, apart from datasets and avatars."""


@dataclass(frozen=True)
class Batch:
    """images (N, S, S, 3) uint8, factors (N, 16)."""

    images: Tensor
    factors: Tensor


class Supervision:
    """Labelled batches by step number."""

    def __init__(self, faces: FaceSet, config: TrainingConfig, size: int) -> None:
        self.labelled = faces.factors is not None
        if faces.images.shape[1:] != (size, size, 3):
            raise BadInputError("the faces are not of the masker's size", got=faces.images.shape, allowed=f"{size} px")
        share = config.rendered_share if self.labelled else 1.0
        self.drawn = round(config.batch * share)
        self.taken = config.batch - self.drawn
        self._faces, self._config, self._size = faces, config, size

    @property
    def kind(self) -> str:
        """Where the labels come from: `dataset`, `rendered` or `dataset+rendered`."""
        return "+".join([*["dataset"] * (self.taken > 0), *["rendered"] * (self.drawn > 0)])

    def batch(self, step: int) -> Batch:
        parts = []
        if self.taken:
            parts.append(self._from_dataset(step))
        if self.drawn:
            parts.append(self._drawn(step))
        return Batch(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _from_dataset(self, step: int) -> tuple[Tensor, Tensor]:
        rows = np.array([self._row(position) for position in range(step * self.taken, (step + 1) * self.taken)])
        faces = self._faces.take(rows)
        assert faces.factors is not None  # noqa: S101 - only labelled faces are taken
        return torch.from_numpy(faces.images), torch.from_numpy(faces.factors)

    def _row(self, position: int) -> int:
        epoch, place = divmod(position, len(self._faces))
        return int(self._order(epoch)[place])

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self._config.seed, epoch)).permutation(len(self._faces))

    def _drawn(self, step: int) -> tuple[Tensor, Tensor]:
        people = np.arange(step * self.drawn, (step + 1) * self.drawn)
        drawn = render.draw(self._config.seed + DRAWN_WORLD, people, np.zeros_like(people), self._size)
        return torch.from_numpy(drawn.images), torch.from_numpy(drawn.factors)
