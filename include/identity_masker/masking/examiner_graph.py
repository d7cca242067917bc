"""The examiner's networks as one graph: from pictures to who is on them, whether there is a face, and where it is.

It does what the naive attacker of the evaluation does before and while it looks: find the landmarks, turn the head
upright, embed. The arithmetic is that of `alignment`, in operations that ONNX has.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from identity_masker.masking.alignment import MODEL_FACE, Window
from identity_masker.masking.encoder import Encoder
from identity_masker.masking.judge import FACE, WHOLE, Finder

INPUT, OUTPUTS = "images", ("embedding", "features", "landmarks")
OPSET = 18


class ExaminerGraph(nn.Module):
    """Images (N, size, size, 3) uint8 to unit embeddings (N, D), features (N, F) and landmarks (N, 10, 2).

    Landmarks are fractions of the picture. Without a finder the whole picture is embedded and they are 0.
    """

    small: Tensor
    shrunk: Tensor
    model_mean: Tensor
    model_fit: Tensor

    def __init__(self, finder: Finder | None, encoder: Encoder, head: Window, size: int) -> None:
        super().__init__()
        self._head, self._found = head, finder is not None
        self.whole = finder.whole if finder else nn.Identity()
        self.face = finder.face if finder else nn.Identity()
        self.encoder = encoder
        self.register_buffer("small", torch.from_numpy(area_matrix(size, WHOLE.size)))
        self.register_buffer("shrunk", torch.from_numpy(area_matrix(size, head.size)))
        model = torch.from_numpy(MODEL_FACE).double()
        centred = model - model.mean(dim=0)
        self.register_buffer("model_mean", model.mean(dim=0).float())
        self.register_buffer("model_fit", (centred / centred.square().sum()).float())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pixels = images.permute(0, 3, 1, 2).float()
        if self._found:
            landmarks = self._landmarks(pixels)
            crop = _crop(pixels, self._frame(landmarks), self._head)
        else:
            landmarks = torch.zeros_like(pixels[:, 0, :10, :2])
            crop = _resized(pixels, self.shrunk)
        pictures = _scaled(crop)
        mirrored = _scaled(crop.flip(3))
        features = self.encoder.trunk(pictures)
        first, second = self.encoder.project(features), self.encoder(mirrored)
        both = functional.normalize(first) + functional.normalize(second)
        return functional.normalize(both), features, landmarks

    def _landmarks(self, pixels: Tensor) -> Tensor:
        _, roughly = self.whole(_scaled(_resized(pixels, self.small)))
        frame = self._frame(roughly)
        _, inside = self.face(_scaled(_crop(pixels, frame, FACE)))
        points = (inside - 0.5) * (2.0 * FACE.half) + torch.tensor([FACE.x, FACE.y])
        turn, origin = frame
        return torch.stack(_turned(points, turn), dim=-1) + origin[:, None]

    def _frame(self, landmarks: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (N, 2) and origin (N, 2) of the similarity from the model face, as complex numbers in pairs."""
        x, y = landmarks[..., 0], landmarks[..., 1]
        u, v = self.model_fit[:, 0], self.model_fit[:, 1]
        turn = torch.stack([(x * u + y * v).sum(dim=1), (y * u - x * v).sum(dim=1)], dim=-1)
        mean = self.model_mean[None, None].expand(turn.shape[0], 1, 2)
        return turn, landmarks.mean(dim=1) - torch.stack(_turned(mean, turn), dim=-1)[:, 0]


def area_matrix(size: int, target: int) -> NDArray[np.float32]:
    """(target, size): area means of rows (or columns) when `size` shrinks to `target`."""
    matrix = np.zeros((target, size), np.float32)
    for row in range(target):
        first, last = row * size // target, math.ceil((row + 1) * size / target)
        matrix[row, first:last] = 1.0 / (last - first)
    return matrix


def _turned(points: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
    """x and y of points (N, K, 2) times `turn` (N, 2)."""
    x, y, a, b = points[..., 0], points[..., 1], turn[:, None, 0], turn[:, None, 1]
    return a * x - b * y, b * x + a * y


def _resized(pixels: Tensor, matrix: Tensor) -> Tensor:
    return (matrix @ pixels @ matrix.T).round()


def _crop(pixels: Tensor, frame: tuple[Tensor, Tensor], window: Window) -> Tensor:
    """What `window` shows of pixels (N, 3, S, S), borders repeated: (N, 3, size, size)."""
    turn, origin = frame
    steps = (torch.arange(window.size) * 2.0 + 1.0) / window.size - 1.0
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    points = torch.stack([window.x + window.half * columns, window.y + window.half * rows], dim=-1).reshape(1, -1, 2)
    x, y = _turned(points, turn)
    grid = 2.0 * (torch.stack([x, y], dim=-1) + origin[:, None]) - 1.0
    grid = grid.reshape(-1, window.size, window.size, 2)
    return functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False).round()


def _scaled(pixels: Tensor) -> Tensor:
    return pixels / 127.5 - 1.0
