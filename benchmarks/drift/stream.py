"""The detector between nights: does the mean time between false alarms hold, and how soon is a shift found?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from benchmarks.drift.tables import show

from identity_masker.drift.online import StreamDetector

# Reference rows, columns, mean run length asked for, smoothing. The first is where alibi-detect measured 67 for 100.
SETTINGS = ((600, 16, 100, 0.1), (5_000, 8, 100, 0.1), (2_000, 4, 500, 0.05))
SHIFT = 0.5

Draw = Callable[[int, float], np.ndarray]


def run(references: int, runs: int) -> None:
    lines = []
    for rows, columns, target, smoothing in SETTINGS:
        rng = np.random.default_rng(rows)
        found, delays = [], []
        for seed in range(references):
            detector = StreamDetector.calibrated(_rows(rng, rows, columns), target, smoothing=smoothing, seed=seed)
            found.append(np.mean([_length(detector, rng, columns, 0.0, 20 * target) for _ in range(runs)]))
            delays += [_length(detector, rng, columns, SHIFT, 20 * target) for _ in range(5)]
        error = np.std(found, ddof=1) / np.sqrt(references)
        lines.append((f"{rows:,} × {columns}", target, f"{np.mean(found):.0f} ± {error:.0f}", f"{np.mean(delays):.0f}"))
    show(("reference", "asked for", "measured mean run", f"rows to find {SHIFT} sd in one column"), lines)


def _rows(rng: np.random.Generator, rows: int, columns: int, shift: float = 0.0) -> np.ndarray:
    values = np.sqrt(0.5) * (rng.normal(size=(rows, columns)) + rng.normal(size=(rows, 1)))
    values[:, 0] += shift
    return np.exp(values)


def _length(detector: StreamDetector, rng: np.random.Generator, columns: int, shift: float, most: int) -> int:
    detector.steps = 0
    for start in range(0, most, 50):
        for step, row in enumerate(_rows(rng, 50, columns, shift), start=1):
            if detector.update(row).alarm:
                return start + step
    return most
