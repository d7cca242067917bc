"""How many pictures one call of the model should hold on this machine, measured before the first client comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import MaskerError
from identity_masker.serving.latency import Call
from identity_masker.serving.model import ServedModel
from identity_masker.serving.queueing import CALL_PIXELS

Pixels = NDArray[np.uint8]
GAIN = 1.10
"""Batches have to mask so many times the pictures a second that single pictures are: they cost waiting time."""

NEAR = 1.04
"""Where they do, the smallest that is as near to the best is taken: a larger one would only wait longer to be filled. A
tenth below the best, as it was, was a tenth of what the server could do."""

REPEATS = 4


class Calibration(NamedTuple):
    """The batch to use, and the fastest call of each size that was tried, by pictures."""

    batch: int
    curve: dict[int, float]
    pixels: int
    """Of one picture of the calibration."""

    def calls(self) -> list[Call]:
        """The curve for `Latency`."""
        return [Call(pictures * self.pixels, seconds) for pictures, seconds in self.curve.items()]


def calibrate(
    model: ServedModel, *, largest: int, fixed: int | None = None, clock: Callable[[], float] = time.perf_counter
) -> Calibration:
    """Time the model with batches of 1, 2, 4 … `largest`; noise serves as pictures. This also warms it up.

    The batch is `fixed` if given, else the smallest whose pictures a second are within `NEAR` of the best, and 1 where
    the best gains less than `GAIN`. Raises `MaskerError` when the model gives back anything but masked pictures.
    """
    # No call is larger than the queue makes it.
    fits = max(1, CALL_PIXELS // model.masker.size**2)
    images = _noise(model, min(fixed or largest, fits))
    sizes = [size for size in (1 << step for step in range(20)) if size < len(images)] + [len(images)]
    for size in sizes:
        _mask(model, images[:size])  # what a first call sets up is not the model's speed
    # In turn, so that a neighbour that is busy for a while is busy for all sizes.
    times = [{size: _timed(model, images[:size], clock) for size in sizes} for _ in range(REPEATS)]
    curve = {size: min(each[size] for each in times) for size in sizes}
    return Calibration(fixed or _knee(curve), curve, model.masker.size**2)


def _noise(model: ServedModel, count: int) -> Pixels:
    side = model.masker.size
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def _knee(curve: dict[int, float]) -> int:
    each = {pictures: seconds / pictures for pictures, seconds in curve.items()}
    best = min(each.values())
    if each[1] <= best * GAIN:
        return 1
    return min(pictures for pictures, seconds in each.items() if seconds <= best * NEAR)


def _timed(model: ServedModel, images: Pixels, clock: Callable[[], float]) -> float:
    began = clock()
    _mask(model, images)
    return clock() - began


def _mask(model: ServedModel, images: Pixels) -> None:
    masked = model.masker.mask(images, [f"warm-up-{row}" for row in range(len(images))])
    if masked.shape != images.shape or masked.dtype != np.uint8 or np.array_equal(masked, images):
        raise MaskerError(
            "the model does not mask",
            got=f"{masked.dtype} {masked.shape} for uint8 {images.shape}, the same pixels or another form",
            allowed="an array of the same form with other pixels",
            fix="train the model again, or serve another version",
        )
