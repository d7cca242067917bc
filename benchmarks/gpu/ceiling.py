"""What the card itself can do: a large product of matrices in bf16, and a large copy."""

from __future__ import annotations

import torch
from benchmarks.gpu.timing import seconds


def show(device: torch.device, edge: int) -> dict[str, float]:
    """Measured ceilings on random numbers: zeros multiply faster."""
    left, right = (torch.randn(edge, edge, device=device, dtype=torch.bfloat16) for _ in range(2))
    product = seconds(lambda: left @ right, device, repeats=10, warm=3)
    source = torch.randn(edge * edge * 4, device=device)
    target = torch.empty_like(source)
    copy = seconds(lambda: target.copy_(source), device, repeats=10, warm=3)
    found = {"bf16_tflops": 2 * edge**3 / product / 1e12, "copy_tb_per_s": 2 * source.nbytes / copy / 1e12}
    print(f"bf16 product of {edge} × {edge}: {found['bf16_tflops']:.1f} TFLOP/s; "
          f"copy, read and written: {found['copy_tb_per_s']:.2f} TB/s")  # fmt: skip
    return found
