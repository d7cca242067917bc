"""`python -m benchmarks.render`: how many faces a second one core draws, at 64, 128 and 256 pixels.

The project asks for 300 at 64.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch

from identity_masker.faces import render

FACES = {64: 256, 128: 64, 256: 16}


def faces_per_second(size: int, repeats: int) -> tuple[float, float]:
    """Best of `repeats`, per second of the clock and of processor time."""
    people = np.arange(FACES[size])
    shots = np.zeros_like(people)
    render.draw(1, people[:8], shots[:8], size)
    clock, processor = [], []
    for _ in range(repeats):
        started, worked = time.perf_counter(), time.process_time()
        render.draw(1, people, shots, size)
        clock.append(time.perf_counter() - started)
        processor.append(time.process_time() - worked)
    return len(people) / min(clock), len(people) / min(processor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = {size: faces_per_second(size, options.repeats) for size in FACES}
    if options.json:
        print(json.dumps({f"faces_per_cpu_second_{size}": round(cpu, 1) for size, (_, cpu) in results.items()}))
        return
    print("size  faces/s  faces/CPU s   (one thread)")
    for size, (clock, processor) in results.items():
        print(f"{size:4}  {clock:7.0f}  {processor:11.0f}")


if __name__ == "__main__":
    main()
