"""A drawn person in motion: one scene, and factors that move as a head and a face do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from identity_masker.faces.face_set import FACTORS
from identity_masker.faces.render import people, scenes
from identity_masker.faces.render.drawing import paint_scene, to_bytes

# Share of the range, cycles a second: large movements are slow. A blink is short and comes every few seconds.
MOTION = {
    "yaw": (0.75, 0.13), "pitch": (0.4, 0.19), "roll": (0.35, 0.11), "shift_x": (0.7, 0.09), "shift_y": (0.5, 0.14),
    "scale": (0.6, 0.07), "gaze_x": (0.7, 0.31), "gaze_y": (0.5, 0.23), "brow": (0.6, 0.29),
    "mouth_open": (0.8, 0.9), "smile": (0.7, 0.21), "light_azimuth": (0.3, 0.05),
}  # fmt: skip
BLINK_EVERY_S, BLINK_S = 3.1, 0.3


def motion(seed: int, frames: int, rate: float) -> NDArray[np.float32]:
    """Factors (frames, 16) of somebody who looks around and talks; smooth at `rate` frames a second."""
    random = np.random.default_rng(seed)
    seconds = np.arange(frames) / rate
    factors = np.zeros((frames, len(FACTORS)), np.float32)
    for name, (reach, frequency) in MOTION.items():
        phase = random.uniform(0, 2 * np.pi, 2)
        wave = np.sin(2 * np.pi * frequency * seconds + phase[0])
        wave += 0.4 * np.sin(2 * np.pi * 1.7 * frequency * seconds + phase[1])
        factors[:, FACTORS.index(name)] = reach * wave / 1.4
    since = (seconds + random.uniform(0, BLINK_EVERY_S)) % BLINK_EVERY_S
    closed = np.clip(1 - np.abs(since / BLINK_S * 2 - 1), 0, 1)
    factors[:, FACTORS.index("blink")] = 2 * closed - 1
    return factors


def film(seed: int, person: int, factors: NDArray[np.float32], size: int) -> Iterator[NDArray[np.uint8]]:
    """Frames (size, size, 3), one for each row of `factors`: `person` of the world of `seed` before one background."""
    row = np.array([person]), np.array([0])
    scene = scenes.scenes(seed, *row)
    drawn = people.from_numbers(people.numbers(seed, row[0]))
    for moment in torch.from_numpy(factors):
        with torch.no_grad():
            canvas, _ = paint_scene(replace(scene, factors=moment[None]), drawn, size)
        yield to_bytes(canvas)[0].numpy()
