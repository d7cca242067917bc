"""Where networks compute, in what precision, and what happens when memory runs out."""

from __future__ import annotations

import logging
from typing import Literal

import torch
from torch import nn

from identity_masker.errors import BadInputError, TemporaryError

CPU = torch.device("cpu")
Choice = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16"]
log = logging.getLogger(__name__)


def choose(choice: Choice, local_rank: int = 0) -> torch.device:
    """The device of a process; `auto` is a GPU where there is one.

    Raises `BadInputError` for a GPU that is not there.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if choice == "cpu" or (choice == "auto" and not found):
        return torch.device("cpu")
    if local_rank >= found:
        raise BadInputError(
            "there is no such GPU", got=f"number {local_rank} of {found}", allowed=f"0 to {found - 1}",
            fix="start as many processes as there are GPUs, or set training.device: cpu",
        )  # fmt: skip
    return torch.device("cuda", local_rank)


def device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def precision(device: torch.device, wanted: Precision) -> torch.autocast:
    """The context in which networks run: convolutions and products in bf16, sums and losses in fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted == "bf16")


def halved(size: int, what: str, error: torch.OutOfMemoryError) -> int:
    """Half of `size`, after the GPU had no memory for it. Raises `TemporaryError` when there is nothing to halve."""
    if size <= 1:
        raise TemporaryError(
            f"the GPU has no memory for {what}, not even one at a time",
            got=str(error).split(". ", maxsplit=1)[0],
            fix="free the GPU or use a larger one",
        ) from error
    torch.cuda.empty_cache()
    log.warning("out of GPU memory: going on with %d instead of %d %s at a time", size // 2, size, what)
    return size // 2
