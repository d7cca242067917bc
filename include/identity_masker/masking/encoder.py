"""The re-identification network: a small convolutional encoder and the margin loss that trains it.

The loss is the additive angular margin of ArcFace (Deng et al., CVPR 2019): class weights and embeddings lie on
the unit sphere, and the angle to the own class weight is made larger by a margin before the softmax.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from identity_masker.masking.device import CPU, device_of
from identity_masker.masking.evaluation_config import EncoderConfig

EMBEDDING_BATCH = 256


def trunk(widths: tuple[int, int, int, int], size: int) -> tuple[nn.Sequential, int]:
    """Convolutions from (N, 3, size, size) in [-1, 1] to a flat vector, and the length of that vector."""
    first, second, third, fourth = widths
    layers = nn.Sequential(
        nn.PixelUnshuffle(2),
        *_convolution(12, first, stride=1),
        *_convolution(first, second, stride=2),
        *_convolution(second, second, stride=1),
        *_convolution(second, third, stride=2),
        *_convolution(third, third, stride=1),
        *_convolution(third, fourth, stride=2),
        nn.Flatten(),
    )
    return layers, fourth * (size // 16) ** 2


def _convolution(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.PReLU(outputs),
    )


class Encoder(nn.Module):
    """Pictures (N, 3, size, size) in [-1, 1] to embeddings (N, config.embedding), not normalised."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.trunk, length = trunk(config.widths, config.size)
        self.project = nn.Sequential(nn.Linear(length, config.embedding, bias=False), nn.BatchNorm1d(config.embedding))

    def forward(self, pictures: Tensor) -> Tensor:
        embedded: Tensor = self.project(self.trunk(pictures))
        return embedded


class AngularMargin(nn.Module):
    """The classification loss over known people. `centres` (people, embedding) are the class weights."""

    def __init__(self, centres: Tensor, margin: float, scale: float) -> None:
        super().__init__()
        self.centres = nn.Parameter(centres.clone())
        self.margin = margin
        self.scale = scale

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Cosines of embeddings (N, D) and class weights: (N, people)."""
        return functional.linear(functional.normalize(embeddings), functional.normalize(self.centres))

    def forward(self, embeddings: Tensor, people: Tensor) -> Tensor:
        """Mean loss of embeddings (N, D) of the people (N,)."""
        cosines = self.cosines(embeddings)
        own = cosines.gather(1, people[:, None])
        # acos has no gradient at its ends.
        angle = torch.acos(own.clamp(-1 + 1e-6, 1 - 1e-6))
        shifted = torch.cos((angle + self.margin).clamp(max=torch.pi))
        return functional.cross_entropy(self.scale * cosines.scatter(1, people[:, None], shifted), people)


def to_tensor(images: NDArray[np.uint8], device: torch.device = CPU) -> Tensor:
    """Images (N, H, W, 3) uint8 as pictures (N, 3, H, W) in [-1, 1] on `device`, channels last in memory."""
    pictures = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2)
    return pictures.float().div_(127.5).sub_(1.0)


@torch.inference_mode()
def embed(encoder: Encoder, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Unit-length embeddings (N, D) of images (N, size, size, 3): the mean of a picture's and its mirror image's."""
    encoder.eval()
    parts, device = [], device_of(encoder)
    for start in range(0, len(images), EMBEDDING_BATCH):
        pictures = to_tensor(images[start : start + EMBEDDING_BATCH], device)
        both = functional.normalize(encoder(pictures)) + functional.normalize(encoder(pictures.flip(3)))
        parts.append(functional.normalize(both))
    return torch.cat(parts).double().cpu().numpy()


def class_means(embeddings: NDArray[np.float64], people: NDArray[np.int64]) -> Tensor:
    """Mean embedding (people, D) of each person 0 .. max; every person must have a row."""
    count = int(people.max()) + 1
    sums = np.zeros((count, embeddings.shape[1]))
    np.add.at(sums, people, embeddings)
    return torch.from_numpy(sums / np.bincount(people, minlength=count)[:, None]).float()
