"""The networks that read a face: picture in, 16 factors out, in three looks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from identity_masker.faces.face_set import FACTORS
from identity_masker.masking.config import ArchitectureConfig, LookConfig
from identity_masker.masking.views import EXPRESSION, LIGHT, PLACE, POSE, pick, unrolled, upright, whole

IN_ORDER = [[*POSE, *EXPRESSION, *LIGHT].index(column) for column in range(len(FACTORS))]
TURN = 2
"""Yaw and pitch come first in a pose, then the place."""


@dataclass(frozen=True)
class Reading:
    """What the three looks say. `place` (N, 4) after the first, `pose` (N, 6) after the second, `factors` (N, 16)."""

    place: Tensor
    pose: Tensor
    factors: Tensor


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Look(nn.Module):
    """Views (N, 3, size, size) to `outputs` numbers."""

    def __init__(self, config: LookConfig, outputs: int) -> None:
        super().__init__()
        first, second, third, fourth = config.widths
        self.size = config.size
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            convolution(12, first),
            convolution(first, first),
            convolution(first, second, stride=2),
            convolution(second, third),
            convolution(third, fourth, stride=2),
            nn.Flatten(),
            nn.Linear(fourth * (config.size // 8) ** 2, config.hidden, bias=False),
            nn.BatchNorm1d(config.hidden),
            nn.ReLU(inplace=True),
            nn.Linear(config.hidden, outputs),
        )

    def forward(self, views: Tensor) -> Tensor:
        hidden = self.layers[:-1](views.contiguous(memory_format=torch.channels_last))
        with torch.autocast(views.device.type, enabled=False):  # the readings are finer than bf16 can tell
            numbers: Tensor = self.layers[-1](hidden.float())
        return numbers


class FactorReader(nn.Module):
    """Pictures (N, 3, S, S) in [-1, 1] to factors.

    The first look finds the head's place; the second, at the upright head, corrects it and reads turn and light;
    the third, at the unrolled face, corrects the pose and reads the expression.
    """

    def __init__(self, config: ArchitectureConfig) -> None:
        super().__init__()
        self.config = config
        self.look_around = Look(config.whole, len(PLACE))
        self.look_at_head = Look(config.head, len(POSE) + len(LIGHT))
        self.look_at_face = Look(config.face, len(POSE) + len(EXPRESSION))

    def forward(self, pictures: Tensor) -> Reading:
        place: Tensor = self.look_around(whole(pictures, self.look_around.size))
        pose, light = self._at_head(pictures, place)
        return self._at_face(pictures, place, pose, pose, light)

    def taught(self, pictures: Tensor, near_place: Tensor, near_pose: Tensor) -> Reading:
        """The reading when the looks are directed by a teacher, `near` the truth: each learns without the others."""
        place: Tensor = self.look_around(whole(pictures, self.look_around.size))
        pose, light = self._at_head(pictures, near_place)
        return self._at_face(pictures, place, pose, near_pose, light)

    def _at_head(self, pictures: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        numbers = self.look_at_head(upright(pictures, place, self.look_at_head.size))
        pose = torch.cat([numbers[:, :TURN], place + numbers[:, TURN : len(POSE)]], dim=1)
        return pose, numbers[:, len(POSE) :]

    def _at_face(self, pictures: Tensor, place: Tensor, pose: Tensor, looked_at: Tensor, light: Tensor) -> Reading:
        numbers = self.look_at_face(unrolled(pictures, looked_at, self.look_at_face.size))
        read = torch.cat([looked_at + numbers[:, : len(POSE)], numbers[:, len(POSE) :], light], dim=1)
        return Reading(place, pose, pick(read, IN_ORDER))


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def to_input(images: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 → (N, 3, H, W) in [-1, 1]."""
    return images.permute(0, 3, 1, 2).contiguous().to(torch.float32).div_(127.5).sub_(1.0)
