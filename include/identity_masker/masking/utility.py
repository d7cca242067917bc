"""What is left of use after masking: an independent judge reads pose, expression, gaze, light and landmarks.

The judge is trained on clear photographs only and shares nothing with the masker. Where nobody labelled factors
(real photographs) there is no judge and utility is not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional

from identity_masker.faces.face_set import FACTORS, LANDMARKS, FaceSet
from identity_masker.masking.encoder import to_tensor, trunk
from identity_masker.masking.evaluation_config import RegressorConfig
from identity_masker.masking.fitting import fit, shuffled

GROUPS: Mapping[str, tuple[str, ...]] = {
    "pose": ("yaw", "pitch", "roll"),
    "gaze": ("gaze_x", "gaze_y"),
    "blink": ("blink",),
    "brow": ("brow",),
    "mouth": ("mouth_open",),
    "smile": ("smile",),
    "light": ("light_azimuth", "light_elevation", "light_strength"),
}
EYE_CORNERS = slice(0, 4)
JUDGE_BATCH = 256
LANDMARK_WEIGHT = 20.0
"""Brings the loss on landmarks (fractions of the picture) to the size of the loss on factors."""

Floats = NDArray[np.float32]
Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Labels:
    """What is known of the pictures: factors (N, 16) and, where there are any, landmarks (N, 10, 2)."""

    factors: Floats
    landmarks: Floats | None

    @staticmethod
    def of(faces: FaceSet) -> Labels | None:
        return None if faces.factors is None else Labels(faces.factors, faces.landmarks)


class Kept(BaseModel):
    """A coefficient of determination on clear and on masked pictures; 1 is perfect, 0 is the mean, below is worse."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clear: float
    masked: float


class Utility(BaseModel):
    """R² by group of factors and the landmark error, a share of the distance between the eyes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: dict[str, Kept]
    landmark_error: Kept | None


class Judge(nn.Module):
    """Pictures (N, 3, size, size) to factors (N, 16) and landmarks (N, 10, 2)."""

    def __init__(self, config: RegressorConfig, size: int) -> None:
        super().__init__()
        self.trunk, length = trunk(config.widths, size)
        self.read = nn.Sequential(nn.Linear(length, 128), nn.PReLU(128), nn.Linear(128, len(FACTORS) + 2 * LANDMARKS))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        answers = self.read(self.trunk(pictures))
        return answers[:, : len(FACTORS)], answers[:, len(FACTORS) :].reshape(-1, LANDMARKS, 2) * 0.1 + 0.5


def train_judge(images: Images, labels: Labels, config: RegressorConfig, seed: int) -> Judge:
    """A judge trained on labelled clear photographs (N, S, S, 3)."""
    factors = torch.from_numpy(labels.factors)
    landmarks = None if labels.landmarks is None else torch.from_numpy(labels.landmarks)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = Judge(config, images.shape[1]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(rows: NDArray[np.int64]) -> Tensor:
        told, found = judge(to_tensor(images[rows]))
        value = functional.smooth_l1_loss(told, factors[rows], beta=0.2)
        if landmarks is not None:
            value = value + LANDMARK_WEIGHT * functional.smooth_l1_loss(found, landmarks[rows], beta=0.02)
        return value

    batches = shuffled(len(images), config.batch, np.random.default_rng(seed))
    fit(judge, loss, batches, steps=config.steps, learning_rate=config.learning_rate)
    return judge


@torch.inference_mode()
def read(judge: Judge, images: Images) -> tuple[Floats, Floats]:
    """Factors (N, 16) and landmarks (N, 10, 2) as the judge sees them."""
    judge.eval()
    parts = [judge(to_tensor(images[i : i + JUDGE_BATCH])) for i in range(0, len(images), JUDGE_BATCH)]
    return torch.cat([part[0] for part in parts]).numpy(), torch.cat([part[1] for part in parts]).numpy()


def measure_utility(judge: Judge, images: Images, masked: Images, labels: Labels) -> Utility:
    """Compare what the judge reads in the clear `images` and in the `masked` ones with their labels."""
    clear_factors, clear_landmarks = read(judge, images)
    masked_factors, masked_landmarks = read(judge, masked)
    groups = {
        name: Kept(
            clear=group_r2(clear_factors, labels.factors, members),
            masked=group_r2(masked_factors, labels.factors, members),
        )
        for name, members in GROUPS.items()
    }
    error = None
    if labels.landmarks is not None:
        error = Kept(
            clear=landmark_error(clear_landmarks, labels.landmarks),
            masked=landmark_error(masked_landmarks, labels.landmarks),
        )
    return Utility(groups=groups, landmark_error=error)


def group_r2(told: Floats, true: Floats, members: tuple[str, ...]) -> float:
    """Mean R² of the factors `members`; a factor that does not vary has none and is left out."""
    columns = [FACTORS.index(name) for name in members]
    residual = ((true[:, columns] - told[:, columns]) ** 2).sum(axis=0)
    spread = ((true[:, columns] - true[:, columns].mean(axis=0)) ** 2).sum(axis=0)
    varied = spread > 1e-9
    return float(np.mean(1.0 - residual[varied] / spread[varied])) if varied.any() else 0.0


def landmark_error(found: Floats, true: Floats) -> float:
    """Mean distance of found and true landmarks as a share of the distance between the outer eye corners.

    The usual normalised mean error, with the widest pair of eye corners of each picture.
    """
    corners = true[:, EYE_CORNERS]
    width = np.linalg.norm(corners[:, :, None] - corners[:, None, :], axis=-1).max(axis=(1, 2))
    distances = np.linalg.norm(found - true, axis=-1).mean(axis=1)
    return float(np.mean(distances / np.maximum(width, 1e-6)))
