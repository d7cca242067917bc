"""The training loop that the evaluation's networks share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SHIFT = 2
"""Training pictures are moved by up to this many pixels, so that a network learns the face and not its place."""

Made = TypeVar("Made")
_generator = threading.Lock()


def initialised(seed: int, make: Callable[[], Made]) -> Made:
    """What `make` builds when torch's own generator starts at `seed`; networks are made in several threads."""
    with _generator, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def fit(
    modules: nn.Module,
    loss: Callable[[NDArray[np.int64]], Tensor],
    batches: Iterator[NDArray[np.int64]],
    *,
    steps: int,
    learning_rate: float,
) -> None:
    """Minimise `loss(rows)` over `steps` batches of rows: AdamW, one learning-rate cycle, gradients clipped."""
    modules.train()
    parameters = list(modules.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.02, fused=parameters[0].is_cuda)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=learning_rate, total_steps=max(steps, 2), pct_start=0.2
    )
    for _ in range(steps):
        value = loss(next(batches))
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        schedule.step()


def shuffled(count: int, batch: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Batches of `batch` rows out of `count`, without end; every row once in each pass, the remainder left out."""
    size = min(batch, count)
    while True:
        order = random.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


def offsets(count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """How far each of `count` training pictures is moved, (count, 2): pixels down and to the right."""
    return random.integers(-SHIFT, SHIFT + 1, size=(count, 2))


def moved(images: NDArray[np.uint8], shifts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Each image (N, H, W, 3) shifted by its row of `shifts`; the border is repeated."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
    starts = SHIFT - shifts
    return np.stack([padded[i, y : y + height, x : x + width] for i, (y, x) in enumerate(starts)])
