"""The network that reads a face: picture in, factors and landmarks out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from identity_masker.faces.face_set import FACTORS, LANDMARKS
from identity_masker.masking.config import ArchitectureConfig


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class FactorReader(nn.Module):
    """Pictures (N, 3, 64, 64) in [-1, 1] to factors (N, 16) and landmarks (N, 10, 2).

    The landmarks only help training: they never leave the network when it masks.
    """

    def __init__(self, config: ArchitectureConfig) -> None:
        super().__init__()
        self.config = config
        first, second, third, fourth = config.widths
        self.trunk = nn.Sequential(
            nn.PixelUnshuffle(2),
            convolution(12, first),
            convolution(first, second, stride=2),
            convolution(second, second),
            convolution(second, third, stride=2),
            convolution(third, third),
            convolution(third, fourth, stride=2),
            nn.Flatten(),
        )
        places = (config.size // 16) ** 2
        self.hidden = nn.Sequential(nn.Linear(fourth * places, config.hidden), nn.ReLU(inplace=True))
        self.factors = nn.Linear(config.hidden, len(FACTORS))
        self.landmarks = nn.Linear(config.hidden, LANDMARKS * 2)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        features = self.hidden(self.trunk(pictures))
        return self.factors(features), self.landmarks(features).reshape(-1, LANDMARKS, 2) + 0.5


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def to_input(images: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 → (N, 3, H, W) in [-1, 1], channels last in memory."""
    return images.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1.0)
