"""Trains the masker of the benchmark and says what it took."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import torch
from benchmarks.masking import people

from identity_masker.masking import artifact
from identity_masker.masking.config import MaskerConfig, load_config
from identity_masker.masking.training import Progress, train

MASKER, TRAINING = "masker", "training.json"
SAID_EVERY = 250


def run(folder: Path, model: str, threads: int, *, quick: bool) -> None:
    torch.set_num_threads(threads)
    cores = len(os.sched_getaffinity(0))
    config = load_config("masker-tiny" if quick else model)
    split = people.QUICK if quick else people.FULL
    size = config.architecture.size
    faces, validation = split.train.draw(size, cores), split.validation.draw(size, cores)
    folder.mkdir(parents=True, exist_ok=True)
    trained = train(
        MaskerConfig(architecture=config.architecture, training=config.training), faces, validation,
        folder / "checkpoint.pt", _say,
    )  # fmt: skip
    artifact.save(trained.masker, folder / MASKER)
    found = {
        "steps": trained.steps, "seconds": round(trained.seconds, 1), "resumed_from": trained.resumed_from,
        "cores": cores, "machine": platform.processor() or platform.machine(), "device": str(trained.masker.device),
        "r_squared": trained.r_squared,
    }  # fmt: skip
    (folder / TRAINING).write_text(json.dumps(found, indent=2))
    print(json.dumps(found), flush=True)


def _say(progress: Progress) -> None:
    if progress.step % SAID_EVERY == 0:
        judged = "" if progress.judged.r_squared is None else f", validation R² {progress.judged.r_squared:.3f}"
        print(f"step {progress.step}: loss {progress.losses['total']:.4f}{judged}", flush=True)
