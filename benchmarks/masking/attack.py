"""Attacks each masker in a process of its own and keeps the evidence."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from benchmarks.masking import people, rivals
from benchmarks.masking.train import MASKER

from identity_masker.faces.face_set import FaceSet
from identity_masker.masking import artifact
from identity_masker.masking.baselines import IdentityMap, Pixelation
from identity_masker.masking.config import ModelConfig, load_config
from identity_masker.masking.device import choose
from identity_masker.masking.evaluation import evaluate
from identity_masker.masking.evaluation_config import EncoderConfig, EvaluationConfig, InversionConfig, JudgeConfig
from identity_masker.masking.masker import Masker
from identity_masker.masking.report import before_after
from identity_masker.masking.strength import Weakened

KEY = "the benchmark's"
UNET_STEPS, UNET_STEPS_LEAN, UNET_STEPS_QUICK = 1500, 600, 4
LEAN_PEOPLE = 192
Maker = Callable[[Path, FaceSet, torch.device, int], Masker]
"""From the folder, people to learn from, a device, and steps to learn in."""


def _ours(folder: Path, faces: FaceSet, device: torch.device, steps: int) -> Masker:
    return artifact.load(folder / MASKER, KEY, device)


def _unet(folder: Path, faces: FaceSet, device: torch.device, steps: int) -> Masker:
    return rivals.train_unet(faces, artifact.load(folder / MASKER, KEY).network, device, steps=steps)


MAKERS: dict[str, Maker] = {
    "ours": _ours,
    "ours at strength .75": lambda *given: Weakened(_ours(*given), 0.75),
    "ours at strength .5": lambda *given: Weakened(_ours(*given), 0.5),
    "identity-cosine U-Net": _unet,
    "pixelation 8": lambda *given: Pixelation(8),
    "pixelation 16": lambda *given: Pixelation(16),
    "blur 4": lambda *given: rivals.Blur(4.0),
    "blur 8": lambda *given: rivals.Blur(8.0),
    "k-same 10": lambda folder, faces, device, steps: rivals.KSame(faces.images, min(10, len(faces) - 1)),
    "untouched": lambda *given: IdentityMap(),
}


def run(folder: Path, model: str, maskers: list[str], processes: int, device: str, *, lean: bool, quick: bool) -> None:
    if len(maskers) == 1:
        _attack(folder, model, maskers[0], device, lean=lean, quick=quick)
        return
    waiting, running, failed = list(maskers), [], []
    most = processes or len(maskers)
    while waiting or running:
        while waiting and len(running) < most:
            name = waiting.pop(0)
            running.append((name, subprocess.Popen(_command(folder, model, name, device, lean=lean, quick=quick))))
        failed += [name for name, process in running if process.poll() not in (None, 0)]
        running = [(name, process) for name, process in running if process.poll() is None]
        time.sleep(0.2)
    if failed:
        sys.exit(f"these attacks failed: {', '.join(failed)}")


def _command(folder: Path, model: str, name: str, device: str, *, lean: bool, quick: bool) -> list[str]:
    return [
        sys.executable, "-m", "benchmarks.masking", "attack", "--folder", str(folder), "--model", model,
        "--maskers", name, "--device", device, *(["--quick"] if quick else []), *(["--lean"] if lean else []),
    ]  # fmt: skip


def _attack(folder: Path, model: str, name: str, device: str, *, lean: bool, quick: bool) -> None:
    started = time.perf_counter()
    torch.set_num_threads(2)
    config: ModelConfig = load_config("masker-tiny" if quick else model)
    split, workers = (people.QUICK if quick else people.FULL), max(1, len(os.sched_getaffinity(0)) // 4)
    size = config.evaluation.size
    known = people.Split(split.attacker.first, LEAN_PEOPLE) if lean else split.attacker
    attacker, test = known.draw(size, workers), split.test.draw(size, workers)
    steps = UNET_STEPS_QUICK if quick else UNET_STEPS_LEAN if lean else UNET_STEPS
    masker = MAKERS[name](folder, split.train.draw(size, workers), choose(device), steps)
    settings = (_leaner(config.evaluation) if lean else config.evaluation).model_copy(update={"device": device})
    if not name.startswith("ours"):
        settings = settings.model_copy(update={"motion": None, "parrot": None, "inversion": None})
    drawn = time.perf_counter() - started
    evidence = evaluate(
        masker, attacker, test, settings, lambda stage: print(f"{name}: {stage}", flush=True), workers=2,
        examiner=folder / "examiner" / slug(name),
    )  # fmt: skip
    (folder / f"{slug(name)}.json").write_text(evidence.model_dump_json(indent=1))
    (folder / f"{slug(name)}.png").write_bytes(before_after(masker, test))
    print(f"{name}: drawn in {drawn:.0f} s, attacked in {evidence.seconds:.0f} s", flush=True)


def _leaner(full: EvaluationConfig) -> EvaluationConfig:
    """What two cores do in a quarter of an hour: smaller networks, fewer steps, no power check."""
    encoder = full.encoder.model_copy(update={"widths": EncoderConfig().widths, "steps": 1200})
    strong = full.strong.model_copy(update={"views": 2, "steps": 700})
    inversion = full.inversion and InversionConfig(widths=(16, 32, 64), steps=250)
    changes = {"encoder": encoder, "strong": strong, "parrot": full.parrot and strong, "inversion": inversion}
    return full.model_copy(update={**changes, "power": None, "judge": JudgeConfig(steps=300)})


def slug(name: str) -> str:
    return name.replace(" ", "-").replace(".", "")
