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
from identity_masker.masking.processes import Group

DRAWN_WORLD = 0x7EAC
"""Added to the seed: the world of the people that are drawn for training, apart from datasets and avatars."""


@dataclass(frozen=True)
class Batch:
    """images (N, S, S, 3) uint8, factors (N, 16)."""

    images: Tensor
    factors: Tensor


class Supervision:
    """Labelled batches by step number."""

    def __init__(self, faces: FaceSet, config: TrainingConfig, size: int, group: Group) -> None:
        self.labelled = faces.factors is not None
        if faces.images.shape[1:] != (size, size, 3):
            raise BadInputError("the faces are not of the masker's size", got=faces.images.shape, allowed=f"{size} px")
        share = config.rendered_share if self.labelled else 1.0
        self.drawn = round(config.batch * share)
        self.taken = config.batch - self.drawn
        if self.drawn % group.count or self.taken % group.count:
            raise BadInputError(
                "the batch cannot be shared out evenly",
                got=f"{self.taken} pictures of the dataset and {self.drawn} drawn ones for {group.count} processes",
                fix="set training.batch and training.rendered_share so that both are multiples of the processes",
            )
        self._config, self._size, self._group = config, size, group
        self._count = len(faces)
        self._paint = torch.compile(render.paint_whole, dynamic=False) if config.compile else None
        # A dataset of faces fits on the device: 6,800 of 64 px are 84 MB.
        self._images = torch.from_numpy(faces.images).to(group.device)
        self._factors = None if faces.factors is None else torch.from_numpy(faces.factors).to(group.device)

    @property
    def kind(self) -> str:
        """Where the labels come from: `dataset`, `rendered` or `dataset+rendered`."""
        return "+".join([*["dataset"] * (self.taken > 0), *["rendered"] * (self.drawn > 0)])

    def batch(self, step: int) -> Batch:
        """This process's share of the batch of `step`."""
        parts = []
        if self.taken:
            parts.append(self._from_dataset(step))
        if self.drawn:
            parts.append(self._drawn(step))
        return Batch(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _from_dataset(self, step: int) -> tuple[Tensor, Tensor]:
        assert self._factors is not None  # noqa: S101 - only labelled faces are taken
        places = [divmod(position, self._count) for position in self._share(step, self.taken)]
        orders = {epoch: self._order(epoch) for epoch in {epoch for epoch, _ in places}}
        rows = torch.tensor([int(orders[epoch][place]) for epoch, place in places]).to(self._images.device)
        return self._images[rows], self._factors[rows]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self._config.seed, epoch)).permutation(self._count)

    def _drawn(self, step: int) -> tuple[Tensor, Tensor]:
        people = np.array(self._share(step, self.drawn))
        world, shots = self._config.seed + DRAWN_WORLD, np.zeros_like(people)
        if self._group.device.type == "cuda" or self._paint is not None:
            return render.draw_on(self._group.device, world, people, shots, self._size, self._paint)
        drawn = render.draw(world, people, shots, self._size)
        return torch.from_numpy(drawn.images), torch.from_numpy(drawn.factors)

    def _share(self, step: int, count: int) -> range:
        return range(step * count + self._group.rank, (step + 1) * count, self._group.count)
