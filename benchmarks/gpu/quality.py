"""Whether bf16 costs quality: two trainings, alike but for the precision, and how well each reads unseen faces."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from benchmarks.gpu.training import nobody

from identity_masker.faces import render
from identity_masker.faces.face_set import FaceSet
from identity_masker.masking.config import MaskerConfig, ModelConfig
from identity_masker.masking.processes import Group
from identity_masker.masking.training import train

VALIDATION_PEOPLE, VALIDATION_WORLD = 512, 0xB0B


def show(device: torch.device, config: ModelConfig, steps: int, *, compiled: bool) -> dict[str, Any]:
    rows = {}
    size = config.architecture.size
    people = np.arange(VALIDATION_PEOPLE if steps > 100 else 8)
    drawn = render.draw(VALIDATION_WORLD, people, np.zeros_like(people), size)
    faces = FaceSet(drawn.images, people.astype(str), drawn.factors, drawn.landmarks)
    print(f"{size} px, {steps} steps of {config.training.batch} drawn pictures, {len(people)} unseen people\n")
    print("| precision | mean R² of the 16 factors | pose | gaze | blink | mouth | smile | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for precision in ("fp32", "bf16"):
        plan = config.training.model_dump() | {
            "rendered_share": 1.0, "steps": steps, "precision": precision, "validate_steps": steps,
            "compile": compiled and device.type == "cuda",
        }  # fmt: skip
        merged = MaskerConfig.model_validate({"architecture": config.architecture.model_dump(), "training": plan})
        started = time.perf_counter()
        with TemporaryDirectory() as folder:
            trained = train(merged, nobody(size), faces, Path(folder) / "c.pt", lambda _: None, Group(device))
        read = trained.r_squared
        row = {
            "all": float(np.mean(list(read.values()))),
            "pose": float(np.mean([read["yaw"], read["pitch"], read["roll"]])),
            "gaze": float(np.mean([read["gaze_x"], read["gaze_y"]])),
            "blink": read["blink"], "mouth": read["mouth_open"], "smile": read["smile"],
            "seconds": time.perf_counter() - started,
        }  # fmt: skip
        rows[precision] = row
        print(f"| {precision} | " + " | ".join(f"{row[k]:.3f}" for k in list(row)[:-1]) + f" | {row['seconds']:.0f} |",
              flush=True)  # fmt: skip
    torch.backends.cudnn.benchmark = False
    return rows
