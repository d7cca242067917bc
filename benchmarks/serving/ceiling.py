"""What the masker does when nothing serves it: calls in a loop on one thread. `… ceiling FOLDER SECONDS`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.serving.processes import PROJECT

BATCHES = (1, 2, 4, 8, 16, 32)


class Speed(NamedTuple):
    """One size of calls: ms of processor time a picture, pictures a second, ms of a call."""

    batch: int
    cpu_ms: float
    rate: float
    call_ms: float


def measured(folder: Path, seconds: float) -> list[Speed]:
    """The speeds, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.serving.ceiling", str(folder), str(seconds)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return [Speed(*row) for row in json.loads(done.stdout)]


def _speed(folder: Path, batch: int, seconds: float) -> Speed:
    import numpy as np

    from identity_masker.masking import loading

    masker = loading.load(folder)
    images = np.random.default_rng(0).integers(0, 256, (batch, 64, 64, 3), dtype=np.uint8)
    keys = [str(row) for row in range(batch)]
    masker.mask(images, keys)
    calls, began, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        masker.mask(images, keys)
        calls += 1
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    return Speed(batch, 1000 * used / (calls * batch), calls * batch / wall, 1000 * wall / calls)


if __name__ == "__main__":
    print(json.dumps([_speed(Path(sys.argv[1]), batch, float(sys.argv[2])) for batch in BATCHES]))
