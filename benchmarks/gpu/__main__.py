"""What one GPU does with the masker: training and masking at 128 and 256 px. `docs/model.md` holds the tables.

python -m benchmarks.gpu                         (`make bench-gpu`)
python -m benchmarks.gpu --device cpu --quick    the same code in a minute, for nothing but to see that it runs

Every part prints its table in Markdown as it ends; --json writes all figures to a file. A part that runs longer than
its share of --minutes is left out and named.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import time
from pathlib import Path
from typing import Any

import torch
from benchmarks.gpu import ceiling, masking, quality, training

from identity_masker.masking.config import ModelConfig, load_config
from identity_masker.masking.device import choose

CONFIGS = {128: "masker-128", 256: "masker-256"}
PARTS = ("ceiling", "training", "masking", "quality")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="cuda")
    parser.add_argument("--sizes", type=int, nargs="+", choices=list(CONFIGS), default=list(CONFIGS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="Tiny sizes and few steps; the figures mean nothing.")
    parser.add_argument("--eager", action="store_true", help="Leave torch.compile out.")
    parser.add_argument("--quality-steps", type=int, default=400)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    device = choose(options.device)
    found: dict[str, Any] = {"machine": machine(device), "torch": torch.__version__}
    print(f"{found['machine']}, torch {found['torch']}\n", flush=True)
    for part in options.parts:
        started = time.perf_counter()
        found[part] = run(part, device, options, found)
        print(f"\n({part}: {time.perf_counter() - started:.0f} s)\n", flush=True)
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(found, indent=2))


def run(part: str, device: torch.device, options: argparse.Namespace, found: dict[str, Any]) -> Any:
    configs = {size: tiny(load_config(CONFIGS[size])) if options.quick else load_config(CONFIGS[size])
               for size in options.sizes}  # fmt: skip
    compiled = not options.eager
    if part == "ceiling":
        return ceiling.show(device, 256 if options.quick else 8192)
    if part == "training":
        peak = found.get("ceiling", {}).get("bf16_tflops")
        return training.show(device, configs, peak, compiled=compiled, quick=options.quick)
    if part == "masking":
        return masking.show(device, configs, compiled=compiled, quick=options.quick)
    steps = 4 if options.quick else options.quality_steps
    return quality.show(device, configs[options.sizes[0]], steps, compiled=compiled)


def tiny(config: ModelConfig) -> ModelConfig:
    """The same shape of model with few channels, so that a processor runs it in seconds."""
    look = {"size": 32, "widths": (4, 4, 6, 6), "hidden": 8}
    architecture = config.architecture.model_dump() | {"whole": look, "head": look, "face": look}
    trained = config.training.model_dump() | {"batch": 4}
    return ModelConfig.model_validate(config.model_dump() | {"architecture": architecture, "training": trained})


def machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"processor {platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


if __name__ == "__main__":
    main()
