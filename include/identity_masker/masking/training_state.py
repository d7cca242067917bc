"""What changes from step to step of a training, and one step of it."""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from identity_masker.errors import BadInputError
from identity_masker.masking import checkpoint as checkpoints
from identity_masker.masking.augmentation import mirror, vary_light
from identity_masker.masking.config import MaskerConfig, TrainingConfig
from identity_masker.masking.device import halved, precision
from identity_masker.masking.losses import losses
from identity_masker.masking.networks import FactorReader, to_input
from identity_masker.masking.processes import Group
from identity_masker.masking.supervision import Batch
from identity_masker.masking.views import PLACE, POSE, pick

Lesson = tuple[Tensor, Tensor, Tensor, Tensor]
"""Pictures, their factors, and where the second and the third look are directed."""


class Lessons(nn.Module):
    """Losses of a network on a lesson, as one module: what is compiled and shared out over processes."""

    def __init__(self, network: FactorReader) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor, factors: Tensor, near_place: Tensor, near_pose: Tensor) -> dict[str, Tensor]:
        return losses(self.network.taught(pictures, near_place, near_pose), factors)


class TrainingState:
    """Everything that changes from step to step.

    parts    how many parts a batch passes through the network in; doubled when the GPU's memory runs out
    best     best validation so far; `waited` validations have been no better
    """

    def __init__(self, network: FactorReader, plan: TrainingConfig, group: Group) -> None:
        self.step, self.parts = 0, plan.accumulate
        self.best, self.waited = -math.inf, 0
        self.plan, self.group = plan, group
        self.network = network.to(group.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.lessons = group.joined(Lessons(self.network))
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, betas=(0.9, 0.99), fused=True
        )
        self.average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        if plan.compile:
            self.lessons = torch.compile(self.lessons, dynamic=False)  # type: ignore[assignment]

    @staticmethod
    def start(config: MaskerConfig, group: Group) -> TrainingState:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.training.seed)
            network = FactorReader(config.architecture)
        return TrainingState(network, config.training, group)

    @property
    def learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def dump(self) -> checkpoints.State:
        """All of it. The position in the data and every random number follow from the step and the seed."""
        return {
            "step": self.step,
            "parts": self.parts,
            "best": self.best,
            "waited": self.waited,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
        }

    def load(self, saved: checkpoints.State) -> None:
        self.step, self.parts = saved["step"], saved["parts"]
        self.best, self.waited = saved["best"], saved["waited"]
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.average = {name: tensor.to(self.group.device) for name, tensor in saved["average"].items()}

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the average of the weights towards the weights of this step; early steps count more."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        moving, now = [], []
        for name, tensor in self.network.state_dict().items():
            if tensor.is_floating_point():
                moving.append(self.average[name])
                now.append(tensor)
            else:
                self.average[name].copy_(tensor)
        torch._foreach_lerp_(moving, now, 1 - decay)

    def averaged(self) -> FactorReader:
        """A network with the averaged weights, on the processor."""
        network = FactorReader(self.network.config)
        network.load_state_dict(self.average)
        return network

    def improved(self, value: float) -> bool:
        """Note a validation; whether it is the best so far."""
        better = value > self.best
        self.best, self.waited = max(self.best, value), 0 if better else self.waited + 1
        return better

    @property
    def exhausted(self) -> bool:
        return self.plan.patience is not None and self.waited >= self.plan.patience


def step(state: TrainingState, batch: Batch) -> dict[str, Tensor]:
    """One step of gradient descent; the losses of its batch, on the device."""
    plan = state.plan
    for group in state.optimizer.param_groups:
        group["lr"] = plan.learning_rate * one_cycle(state.step / plan.steps, plan.warmup)
    lesson = _lesson(state, batch)
    state.network.train()
    parts = _gradients(state, lesson)
    nn.utils.clip_grad_norm_(state.network.parameters(), plan.gradient_norm)
    state.optimizer.step()
    state.step += 1
    state.follow(plan.average)
    return parts


def finite(values: dict[str, Tensor], step_number: int) -> dict[str, float]:
    """The losses as numbers. Raises `BadInputError` when they are none any more."""
    numbers = {name: value.item() for name, value in values.items()}
    if not math.isfinite(numbers["total"]):
        raise BadInputError(
            "the training diverged: the loss is not a finite number",
            got=f"step {step_number}",
            fix="lower training.learning_rate in the model's YAML",
        )
    return numbers


def _lesson(state: TrainingState, batch: Batch) -> Lesson:
    """A batch varied by random numbers that depend on seed, step and process alone."""
    plan, device = state.plan, state.group.device
    number = (plan.seed * 1_000_003 + state.step) * state.group.count + state.group.rank
    generator = torch.Generator(device).manual_seed(number)
    count = len(batch.images)
    batch = mirror(batch, torch.rand(count, generator=generator, device=device) < 0.5)
    pictures = vary_light(to_input(batch.images), generator)

    def near(chosen: list[int], error: float) -> Tensor:
        return pick(batch.factors, chosen) + error * torch.randn(count, len(chosen), generator=generator, device=device)

    return pictures, batch.factors, near(PLACE, plan.place_error), near(POSE, plan.pose_error)


def _gradients(state: TrainingState, lesson: Lesson) -> dict[str, Tensor]:
    """Losses and gradients of a lesson; in more parts, and from the start, when the GPU has no memory for it."""
    while True:
        try:
            return _accumulated(state, lesson)
        except torch.OutOfMemoryError as error:
            if state.group.count > 1:
                raise BadInputError(
                    "the GPU's memory ran out",
                    got=f"{len(lesson[0])} pictures in {state.parts} parts",
                    fix="raise training.accumulate; processes that share a step cannot change it by themselves",
                ) from error
            rows = halved(len(lesson[0]) // state.parts, "pictures of a training step", error)
            state.parts = math.ceil(len(lesson[0]) / rows)


def _accumulated(state: TrainingState, lesson: Lesson) -> dict[str, Tensor]:
    state.optimizer.zero_grad(set_to_none=True)
    pieces = list(zip(*(part.chunk(state.parts) for part in lesson), strict=True))
    sums: dict[str, Tensor] = {}
    for number, piece in enumerate(pieces):
        share = len(piece[0]) / len(lesson[0])
        # Gradients are exchanged between processes once a step, with the last part.
        waits = state.group.count > 1 and number < len(pieces) - 1
        with state.lessons.no_sync() if waits else nullcontext():  # type: ignore[operator]
            with precision(state.group.device, state.plan.precision):
                parts = state.lessons(*piece)
            (parts["total"] * share).backward()
        for name, part in parts.items():
            sums[name] = sums.get(name, 0.0) + part.detach() * share
    return sums


def one_cycle(share: float, warmup: float) -> float:
    """Relative learning rate after `share` of the training: a linear rise, then half a cosine down to 0."""
    if share < warmup:
        return 0.1 + 0.9 * share / warmup
    return 0.5 + 0.5 * math.cos(math.pi * (share - warmup) / (1 - warmup))
