"""Masked frames a second from pictures in main memory to masked pictures there, and how long one frame takes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from benchmarks.gpu.timing import seconds

from identity_masker.masking.config import ModelConfig
from identity_masker.masking.masker import FactorBottleneckMasker
from identity_masker.masking.networks import FactorReader

BATCHES = (64, 256)


def show(device: torch.device, configs: dict[int, ModelConfig], *, compiled: bool, quick: bool) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    print("| px | program | pictures at a time | frames/s | one call, ms | first call, s |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for size, config in configs.items():
        programs: list[tuple[str, int, str | None]] = [("eager", 1, None), *(("eager", n, None) for n in BATCHES)]
        if compiled and not quick:
            programs += [("CUDA graph", 1, "reduce-overhead"), ("compiled", BATCHES[0], None)]
        for name, count, mode in programs:
            count = min(count, 2) if quick else count
            rows[f"{size} {name} {count}"] = row = measured(device, config, name, count, mode, quick=quick)
            print(
                f"| {size} | {name} | {count} | {row['frames']:,.0f} | {row['ms']:.2f} | {row['first']:.1f} |",
                flush=True,
            )
    return rows


def measured(
    device: torch.device, config: ModelConfig, name: str, count: int, mode: str | None, *, quick: bool
) -> dict[str, float]:
    torch.manual_seed(1)
    network = FactorReader(config.architecture).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    masker = FactorBottleneckMasker(config.architecture, network, "benchmark")
    masker.batch = count
    if name != "eager":
        masker.compile(mode)
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (count, config.architecture.size, config.architecture.size, 3), np.uint8)
    keys = [f"frame/{row}" for row in range(count)]
    started = time.perf_counter()
    masker.mask(images, keys)
    first = time.perf_counter() - started
    taken = seconds(lambda: masker.mask(images, keys), device, repeats=2 if quick else 30, warm=1 if quick else 5)
    return {"frames": count / taken, "ms": taken * 1e3, "first": first}
