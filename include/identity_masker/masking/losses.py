"""How wrong the encoder is: Huber losses on factors and landmarks, weighted by what can be seen."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from identity_masker.faces.face_set import FACTORS
from identity_masker.masking.supervision import Batch

FACTOR_KNEE = 0.2
LANDMARK_KNEE = 0.02
LEAST_VISIBLE = 0.1


def visibility(factors: Tensor) -> Tensor:
    """(N, 16) weights: gaze shows as far as the eyes are open, the light's direction as far as it is strong."""
    weights = torch.ones_like(factors)
    opened = (0.5 - 0.5 * factors[:, FACTORS.index("blink")]).clamp(min=LEAST_VISIBLE)
    strong = (0.7 + 0.3 * factors[:, FACTORS.index("light_strength")]).clamp(min=LEAST_VISIBLE)
    for name, seen in (
        ("gaze_x", opened), ("gaze_y", opened),
        ("light_azimuth", strong), ("light_elevation", strong), ("warmth", strong),
    ):  # fmt: skip
        weights[:, FACTORS.index(name)] = seen
    return weights


def losses(factors: Tensor, landmarks: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Mean losses of a prediction: `factors` (N, 16) and `landmarks` (N, 10, 2) against the labels of `batch`."""
    error = functional.huber_loss(factors, batch.factors, reduction="none", delta=FACTOR_KNEE) / FACTOR_KNEE
    points = functional.huber_loss(landmarks, batch.landmarks, delta=LANDMARK_KNEE) / LANDMARK_KNEE
    return {"factors": (error * visibility(batch.factors)).mean(), "landmarks": points}


def r_squared(predicted: Tensor, true: Tensor) -> dict[str, float]:
    """Coefficient of determination of each factor over N faces: 1 is perfect, 0 is as good as the mean."""
    residual = (true - predicted).square().sum(dim=0)
    spread = (true - true.mean(dim=0)).square().sum(dim=0).clamp(min=1e-9)
    return {name: float(value) for name, value in zip(FACTORS, 1 - residual / spread, strict=True)}
