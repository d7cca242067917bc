"""The people of the benchmark: drawn, and each in one split only."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from identity_masker.faces import render
from identity_masker.faces.face_set import FaceSet

WORLD = 4
SHOTS = 17
PART = 512


@dataclass(frozen=True)
class Split:
    """People `first` .. `first + count - 1` of the world."""

    first: int
    count: int

    def draw(self, size: int, workers: int) -> FaceSet:
        """`SHOTS` pictures of each."""
        who = np.repeat(np.arange(self.first, self.first + self.count), SHOTS)
        shots = np.tile(np.arange(SHOTS), self.count)
        parts = [(who[at : at + PART], shots[at : at + PART], size) for at in range(0, len(who), PART)]
        with ProcessPoolExecutor(workers) as pool:
            drawn = list(pool.map(_draw, *zip(*parts, strict=True)))
        return FaceSet(
            np.concatenate([one.images for one in drawn]), np.array([f"p{person:05d}" for person in who]),
            np.concatenate([one.factors for one in drawn]), np.concatenate([one.landmarks for one in drawn]),
        )  # fmt: skip


def _draw(who: np.ndarray, shots: np.ndarray, size: int) -> render.Rendered:
    torch.set_num_threads(1)
    return render.draw(WORLD, who, shots, size)


@dataclass(frozen=True)
class People:
    """Who teaches the maskers, who validates them, whom the attackers know, and whom nothing has seen."""

    train: Split
    validation: Split
    attacker: Split
    test: Split


FULL = People(Split(0, 256), Split(10_000, 32), Split(20_000, 512), Split(30_000, 128))
QUICK = People(Split(0, 8), Split(10_000, 2), Split(20_000, 8), Split(30_000, 6))
