"""Clocks for work that is handed to a GPU and done later."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch


def settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], object], device: torch.device, *, repeats: int, warm: int = 2) -> float:
    """Median time of `work`, each run to its end."""
    for _ in range(warm):
        work()
    taken = []
    for _ in range(repeats):
        settle(device)
        started = time.perf_counter()
        work()
        settle(device)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)
