"""The masker's network in torch beside its graphs in ONNX Runtime: one thread, calls in a loop, each in its process.

`python -m benchmarks.serving.engine network|graphs FOLDER SECONDS` is such a process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.serving import artifact
from benchmarks.serving.processes import PROJECT
from benchmarks.serving.tables import load_line, table

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

BATCHES = (1, 2, 4, 8, 16, 32)
SIDES = (64, 128, 256)
ENGINES = {"network": "torch, the network", "graphs": "ONNX Runtime, the graphs"}


class Speeds(NamedTuple):
    """Seconds to load, MB at the end, and ms of processor time a picture by side and pictures in a call."""

    loaded: float
    megabytes: float
    cpu_ms: dict[str, float]


def run(seconds: float) -> None:
    with TemporaryDirectory(prefix="masker-engine-") as folder:
        artifact.untrained(Path(folder))
        found = {name: _measured(name, folder, seconds) for name in ENGINES}
    print("Milliseconds of processor time a picture:\n")
    rows = [
        (f"{side} × {side}, {batch} a call", *(found[name].cpu_ms[f"{side}/{batch}"] for name in ENGINES))
        for side in SIDES
        for batch in BATCHES
    ]
    ends = [("seconds to load", *(one.loaded for one in found.values())),
            ("memory, MB", *(one.megabytes for one in found.values()))]  # fmt: skip
    print(table(("", *ENGINES.values(), "ratio"), [(*row, float(row[1]) / float(row[2])) for row in (*rows, *ends)]))
    print(f"\n{load_line()}")


def _measured(engine: str, folder: str, seconds: float) -> Speeds:
    command = [sys.executable, "-m", "benchmarks.serving.engine", engine, folder, str(seconds)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return Speeds(*json.loads(done.stdout))


def _here(engine: str, folder: Path, seconds: float) -> Speeds:
    began = time.perf_counter()
    masker = _load(engine, folder)
    loaded = time.perf_counter() - began
    cpu = {f"{side}/{batch}": _cpu_ms(masker, side, batch, seconds) for side in SIDES for batch in BATCHES}
    return Speeds(loaded, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, cpu)


def _load(engine: str, folder: Path) -> Masker:
    if engine == "graphs":
        from identity_masker.masking import loading

        return loading.load(folder)
    import torch

    from identity_masker.masking import artifact as files

    torch.set_num_threads(1)
    return files.load(folder)


def _cpu_ms(masker: Masker, side: int, batch: int, seconds: float) -> float:
    """The least of the calls in `seconds`: what a neighbour on the core adds is not the engine's."""
    import numpy as np

    images = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    keys = [str(row) for row in range(batch)]
    masker.mask(images, keys)
    least, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.process_time()
        masker.mask(images, keys)
        least = min(least, time.process_time() - began)
    return 1000 * least / batch


if __name__ == "__main__":
    print(json.dumps(_here(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))))
