"""Training the encoder: one readable loop, resumed exactly.

Whatever is random in a step is a function of (seed, step), so the position in the data and the state of all
generators is the step number alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from identity_masker.errors import BadInputError
from identity_masker.faces import render
from identity_masker.faces.face_set import FaceSet
from identity_masker.masking import checkpoint as checkpoints
from identity_masker.masking.augmentation import mirror, vary_light
from identity_masker.masking.config import MaskerConfig, TrainingConfig
from identity_masker.masking.losses import losses, r_squared
from identity_masker.masking.masker import FactorBottleneckMasker
from identity_masker.masking.networks import FactorReader, to_input
from identity_masker.masking.supervision import Batch, Supervision
from identity_masker.masking.views import PLACE, POSE
from identity_masker.settings import settings

VALIDATION_WORLD = 0x7A11
"""Added to the seed: the world of the people that judge a training whose dataset has no labels."""
VALIDATION_FACES = 512


@dataclass(frozen=True)
class Progress:
    """One finished step; `losses` are means over its batch."""

    step: int
    total: int
    losses: dict[str, float]
    learning_rate: float
    images_per_second: float


@dataclass(frozen=True)
class TrainedMasker:
    """What a training gives. `r_squared` is measured on people that it has not seen."""

    masker: FactorBottleneckMasker
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
) -> TrainedMasker:
    """Train a masker on `train`; continue from `checkpoint` when it is there.

    Raises `BadInputError` when the loss stops being a number and `ConflictError` for another training's checkpoint.
    """
    begun = time.perf_counter()
    plan = config.training
    supervision = Supervision(train, plan, config.architecture.size)
    mark = checkpoints.fingerprint(config, train)
    state = TrainingState.start(config)
    saved = checkpoints.read(checkpoint, mark)
    if saved is not None:
        state.load(saved)
    first = state.step
    for batch in prefetch(supervision, first, plan.steps):
        started = time.perf_counter()
        values = step(state, plan, batch)
        if state.step % plan.checkpoint_steps == 0 or state.step == plan.steps:
            checkpoints.write(checkpoint, mark, state.dump())
        speed = len(batch.images) / (time.perf_counter() - started)
        report(Progress(state.step, plan.steps, values, state.learning_rate, speed))
    secret = settings().mask_key.get_secret_value()
    masker = FactorBottleneckMasker(config.architecture, state.averaged(), secret)
    return TrainedMasker(
        masker=masker,
        steps=state.step,
        resumed_from=first,
        seconds=time.perf_counter() - begun,
        supervision=supervision.kind,
        r_squared=validate(masker, validation, plan.seed),
    )


class TrainingState:
    """Everything that changes from step to step."""

    def __init__(self, network: FactorReader, plan: TrainingConfig) -> None:
        self.step = 0
        self.network = network
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, betas=(0.9, 0.99), fused=True
        )
        self.average = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    @staticmethod
    def start(config: MaskerConfig) -> TrainingState:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.training.seed)
            network = FactorReader(config.architecture)
        return TrainingState(network.to(memory_format=torch.channels_last), config.training)  # type: ignore[call-overload]

    @property
    def learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def dump(self) -> checkpoints.State:
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
        }

    def load(self, saved: checkpoints.State) -> None:
        self.step = saved["step"]
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.average = saved["average"]

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the average of the weights towards the weights of this step; early steps count more."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        for name, tensor in self.network.state_dict().items():
            if tensor.is_floating_point():
                self.average[name].lerp_(tensor, 1 - decay)
            else:
                self.average[name].copy_(tensor)

    def averaged(self) -> FactorReader:
        """A network with the averaged weights."""
        network = FactorReader(self.network.config)
        network.load_state_dict(self.average)
        return network


def step(state: TrainingState, plan: TrainingConfig, batch: Batch) -> dict[str, float]:
    """One step of gradient descent; the losses of its batch."""
    generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + state.step)
    batch = mirror(batch, torch.rand(len(batch.images), generator=generator) < 0.5)
    pictures = vary_light(to_input(batch.images), generator)
    for group in state.optimizer.param_groups:
        group["lr"] = plan.learning_rate * one_cycle(state.step / plan.steps, plan.warmup)
    state.network.train()
    near_place = batch.factors[:, PLACE] + plan.place_error * torch.randn(
        len(pictures), len(PLACE), generator=generator
    )
    near_pose = batch.factors[:, POSE] + plan.pose_error * torch.randn(len(pictures), len(POSE), generator=generator)
    parts = losses(state.network.taught(pictures, near_place, near_pose), batch.factors)
    total = parts["total"]
    if not math.isfinite(total.item()):
        raise BadInputError(
            "the training diverged: the loss is not a finite number",
            got=f"step {state.step + 1}",
            fix="lower training.learning_rate in the model's YAML",
        )
    state.optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(state.network.parameters(), plan.gradient_norm)
    state.optimizer.step()
    state.step += 1
    state.follow(plan.average)
    return {name: part.item() for name, part in parts.items()}


def one_cycle(share: float, warmup: float) -> float:
    """Relative learning rate after `share` of the training: a linear rise, then half a cosine down to 0."""
    if share < warmup:
        return 0.1 + 0.9 * share / warmup
    return 0.5 + 0.5 * math.cos(math.pi * (share - warmup) / (1 - warmup))


def prefetch(supervision: Supervision, first: int, last: int) -> Iterator[Batch]:
    """The batches of the steps first .. last − 1; the next one is drawn while the caller works on this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(supervision.batch, first) if first < last else None
        for number in range(first, last):
            assert coming is not None  # noqa: S101 - submitted in the round before
            batch = coming.result()
            coming = pool.submit(supervision.batch, number + 1) if number + 1 < last else None
            yield batch


def validate(masker: FactorBottleneckMasker, faces: FaceSet, seed: int) -> dict[str, float]:
    """R² of each factor of the code on `faces`, or on drawn ones when nobody labelled them."""
    images, factors = faces.images, faces.factors
    if factors is None:
        people = np.arange(VALIDATION_FACES)
        drawn = render.draw(seed + VALIDATION_WORLD, people, np.zeros_like(people), masker.size)
        images, factors = drawn.images, drawn.factors
    codes = [masker.read(_pictures(images[at : at + 64])) for at in range(0, len(images), 64)]
    return r_squared(torch.cat(codes), torch.from_numpy(factors))


def _pictures(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.float32) / 255
