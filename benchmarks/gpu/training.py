"""Pictures a second in training, drawn for each step on the device, beside a plain eager loop in fp32."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from benchmarks.gpu.timing import settle
from torch.utils.flop_counter import FlopCounterMode

from identity_masker.faces.face_set import FACTORS, FaceSet
from identity_masker.masking.config import MaskerConfig, ModelConfig
from identity_masker.masking.losses import losses
from identity_masker.masking.networks import FactorReader
from identity_masker.masking.processes import Group
from identity_masker.masking.supervision import Supervision
from identity_masker.masking.training import prefetch
from identity_masker.masking.training_state import TrainingState, step

PLAIN = {"precision": "fp32", "compile": False}


def show(
    device: torch.device, configs: dict[int, ModelConfig], peak: float | None, *, compiled: bool, quick: bool
) -> dict[str, Any]:
    rows = {}
    print(
        "| px | batch | plain eager fp32, images/s | ours, images/s | ratio | GFLOP an image | TFLOP/s | share of it |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for size, config in configs.items():
        ours = {"compile": compiled and (device.type == "cuda" or not quick)}
        fast = images_per_second(device, changed(config, ours), steps=3 if quick else 40, warm=2 if quick else 12)
        slow = images_per_second(device, changed(config, PLAIN), steps=2 if quick else 15, warm=1 if quick else 3)
        work = flops(config) / 1e9
        rate = fast * work / 1e3
        rows[size] = {
            "plain": slow,
            "ours": fast,
            "gflop": work,
            "tflops": rate,
            "share": rate / peak if peak else None,
        }
        share = "" if peak is None else f"{rate / peak:.1%}"
        print(f"| {size} | {config.training.batch} | {slow:,.0f} | {fast:,.0f} | {fast / slow:.1f} | {work:.2f} | "
              f"{rate:.2f} | {share} |", flush=True)  # fmt: skip
    return rows


def changed(config: ModelConfig, changes: dict[str, Any]) -> MaskerConfig:
    plan = config.training.model_dump() | {"rendered_share": 1.0, **changes}
    return MaskerConfig.model_validate({"architecture": config.architecture.model_dump(), "training": plan})


def images_per_second(device: torch.device, config: MaskerConfig, *, steps: int, warm: int) -> float:
    """Of the steps after the first `warm`, which compile: drawing, both passes, the optimiser and the average."""
    group = Group(device)
    # The plain loop is what one writes first: fp32 as fp32, no layout chosen.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = config.training.precision == "bf16"
    state = TrainingState.start(config, group)
    if config.training.precision == "fp32" and not config.training.compile:
        state.network.to(memory_format=torch.contiguous_format)
    supervision = Supervision(nobody(config.architecture.size), config.training, config.architecture.size, group)
    started = 0.0
    for number, batch in enumerate(prefetch(supervision, 0, warm + steps)):
        if number == warm:
            settle(device)
            started = time.perf_counter()
        step(state, batch)
    settle(device)
    return steps * config.training.batch / (time.perf_counter() - started)


def flops(config: ModelConfig) -> float:
    """Floating-point operations of one picture through both passes, convolutions and products, by torch's counter."""
    architecture = config.architecture
    network = FactorReader(architecture)
    pictures = torch.rand(2, 3, architecture.size, architecture.size)
    factors = torch.rand(2, len(FACTORS))
    with FlopCounterMode(display=False) as counter:
        losses(network.taught(pictures, factors[:, :4], factors[:, :6]), factors)["total"].backward()
    return counter.get_total_flops() / 2


def nobody(size: int) -> FaceSet:
    """A dataset without labels: everything is drawn."""
    return FaceSet(np.zeros((1, size, size, 3), np.uint8), np.array(["nobody"]))
