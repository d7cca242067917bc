"""Two samples of 2,000 vectors of 64 numbers: time of the permutation tests."""

from __future__ import annotations

import time

import numpy as np
from benchmarks.drift.tables import show

from identity_masker.statistics.classifier_test import classifier_test
from identity_masker.statistics.two_sample import mmd

DIMENSIONS, PERMUTATIONS = 64, 1_000


def run(rows: int, repeats: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(rows, DIMENSIONS)), rng.normal(size=(rows, DIMENSIONS))
    lines = []
    for name, test in (("MMD", mmd), ("classifier", classifier_test)):
        wall, cpu = [], []
        for seed in range(repeats):
            started, worked = time.perf_counter(), time.process_time()
            test(a, b, PERMUTATIONS, seed)
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - worked)
        lines.append((name, PERMUTATIONS, f"{min(wall):.2f}", f"{min(cpu):.2f}"))
    show(("test", "permutations", "wall s", "CPU s"), lines)
