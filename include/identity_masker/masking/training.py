"""Training the encoder: one readable loop, resumed exactly.

Whatever is random in a step is a function of (seed, step), so the position in the data and the state of all
generators is the step number alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from identity_masker.faces import render
from identity_masker.faces.face_set import FaceSet
from identity_masker.masking import checkpoint as checkpoints
from identity_masker.masking.config import MaskerConfig
from identity_masker.masking.device import CPU
from identity_masker.masking.losses import r_squared
from identity_masker.masking.masker import FactorBottleneckMasker, StorableMasker
from identity_masker.masking.processes import Group, alone
from identity_masker.masking.supervision import Batch, Supervision
from identity_masker.masking.training_state import TrainingState, finite, step
from identity_masker.settings import settings

VALIDATION_WORLD = 0x7A11
"""Added to the seed: the world of the people that judge a training whose dataset has no labels."""
VALIDATION_FACES = 512
SAMPLES = 8
GPU_REPORT_STEPS = 10
"""A GPU is asked for its losses every so many steps: each time it has to finish what it was given."""


@dataclass(frozen=True)
class Judged:
    """What faces say that are not trained on, in the steps that validate.

    r_squared  mean over the 16 factors
    samples    (2, N, S, S, 3) uint8: some of the faces, and what the masker makes of them now
    """

    r_squared: float | None = None
    samples: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Progress:
    """One finished step; `losses` are means over its batch."""

    step: int
    total: int
    losses: dict[str, float]
    learning_rate: float
    images_per_second: float
    judged: Judged


@dataclass(frozen=True)
class TrainedMasker:
    """A trained masker, on the processor, and how it came about.

    `r_squared`: how well it reads each factor of faces it has not seen.
    """

    masker: StorableMasker
    steps: int
    resumed_from: int
    seconds: float
    supervision: str
    r_squared: dict[str, float]


def train(
    config: MaskerConfig,
    train: FaceSet,
    validation: FaceSet,
    checkpoint: Path,
    report: Callable[[Progress], None],
    group: Group | None = None,
) -> TrainedMasker:
    """Train a masker on `train`; continue from `checkpoint` when it is there.

    In a `group` of processes the leader alone reports and writes the checkpoint. Raises `BadInputError` when the
    loss stops being a number and `ConflictError` for another training's checkpoint.
    """
    begun = time.perf_counter()
    plan = config.training
    group = group or alone(plan.device)
    supervision = Supervision(train, plan, config.architecture.size, group)
    mark = checkpoints.fingerprint(config, train)
    state = TrainingState.start(config, group)
    saved = group.agree(checkpoints.read(checkpoint, mark) if group.leads else None)
    if saved is not None:
        state.load(saved)
    first = state.step
    watch = _Watch(plan.batch, first)
    read: dict[str, float] = {}
    for batch in prefetch(supervision, first, 0 if state.exhausted else plan.steps):
        values = step(state, batch)
        last = state.step == plan.steps
        validates = last or state.step % plan.validate_steps == 0
        keeps = last or state.step % plan.checkpoint_steps == 0
        judged, read = _validated(state, config, validation) if validates else (Judged(), read)
        due = group.device.type == "cpu" or validates or keeps or state.step % GPU_REPORT_STEPS == 0
        numbers = finite(values, state.step) if due else None
        if group.leads and (keeps or state.exhausted):
            checkpoints.write(checkpoint, mark, state.dump())
        if group.leads and numbers is not None:
            speed = watch.speed(state.step)
            report(Progress(state.step, plan.steps, numbers, state.learning_rate, speed, judged))
        if state.exhausted:
            break
    return TrainedMasker(
        masker=_masker(state, config, CPU),
        steps=state.step,
        resumed_from=first,
        seconds=time.perf_counter() - begun,
        supervision=supervision.kind,
        # The last step has validated, unless there was nothing left to do.
        r_squared=read or validate(_masker(state, config, group.device), validation, plan.seed),
    )


class _Watch:
    """Pictures a second since it was last asked."""

    def __init__(self, batch: int, step: int) -> None:
        self._batch = batch
        self._step, self._time = step, time.perf_counter()

    def speed(self, step: int) -> float:
        now = time.perf_counter()
        speed = (step - self._step) * self._batch / (now - self._time)
        self._step, self._time = step, now
        return speed


def prefetch(supervision: Supervision, first: int, last: int) -> Iterator[Batch]:
    """The batches of the steps first .. last − 1; the next one is drawn while the caller works on this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(supervision.batch, first) if first < last else None
        for number in range(first, last):
            assert coming is not None  # noqa: S101 - submitted in the round before
            batch = coming.result()
            coming = pool.submit(supervision.batch, number + 1) if number + 1 < last else None
            yield batch


def _masker(state: TrainingState, config: MaskerConfig, device: torch.device) -> FactorBottleneckMasker:
    network = state.averaged().to(device)
    return FactorBottleneckMasker(config.architecture, network, settings().mask_key.get_secret_value())


def _validated(state: TrainingState, config: MaskerConfig, faces: FaceSet) -> tuple[Judged, dict[str, float]]:
    """A look at `faces`, noted for the early end of the training, and the R² of each factor."""
    if not state.group.leads:
        state.improved(state.group.agree(0.0))
        return Judged(), {}
    masker = _masker(state, config, state.group.device)
    read = validate(masker, faces, config.training.seed)
    mean = state.group.agree(float(np.mean(list(read.values()))))
    state.improved(mean)
    clear = faces.images[:SAMPLES]
    masked = masker.mask(clear, [f"sample/{row}" for row in range(len(clear))])
    return Judged(mean, np.stack([clear, masked])), read


def validate(masker: FactorBottleneckMasker, faces: FaceSet, seed: int) -> dict[str, float]:
    """R² of each factor of the code on `faces`, or on drawn ones when nobody labelled them."""
    images, factors = faces.images, faces.factors
    if factors is None:
        people = np.arange(VALIDATION_FACES)
        drawn = render.draw(seed + VALIDATION_WORLD, people, np.zeros_like(people), masker.size)
        images, factors = drawn.images, drawn.factors
    codes = [masker.read(masker.pictures(images[at : at + 64])).cpu() for at in range(0, len(images), 64)]
    return r_squared(torch.cat(codes), torch.from_numpy(factors))
