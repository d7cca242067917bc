"""How wrong the encoder is: Huber losses on what each look reads, weighted by what can be seen."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from identity_masker.faces.face_set import FACTORS
from identity_masker.masking.networks import Reading
from identity_masker.masking.views import PLACE, POSE, pick

KNEE = 0.2
"""Errors above count linearly."""
EARLY_WEIGHT = 0.5
"""Weight of the first two looks' own readings, which the third corrects."""
LEAST_VISIBLE = 0.1
SEEN_IN_OPEN_EYES = ("gaze_x", "gaze_y")
SEEN_IN_STRONG_LIGHT = ("light_azimuth", "light_elevation", "warmth")


def visibility(factors: Tensor) -> Tensor:
    """(N, 16) weights: gaze shows as far as eyes are open, the lamp's direction and colour as far as it is strong."""
    opened = (0.5 - 0.5 * factors[:, FACTORS.index("blink")]).clamp(min=LEAST_VISIBLE)
    strong = 0.7 + 0.3 * factors[:, FACTORS.index("light_strength")]
    always = torch.ones_like(opened)
    weights = dict.fromkeys(SEEN_IN_OPEN_EYES, opened) | dict.fromkeys(SEEN_IN_STRONG_LIGHT, strong)
    return torch.stack([weights.get(name, always) for name in FACTORS], dim=1)


def losses(reading: Reading, factors: Tensor) -> dict[str, Tensor]:
    """Mean losses of a reading against the true `factors` (N, 16); `total` is what training lowers."""
    place = _huber(reading.place, pick(factors, PLACE)).mean()
    pose = _huber(reading.pose, pick(factors, POSE)).mean()
    final = (_huber(reading.factors, factors) * visibility(factors)).mean()
    return {"total": final + EARLY_WEIGHT * (place + pose), "factors": final, "pose": pose, "place": place}


def _huber(predicted: Tensor, true: Tensor) -> Tensor:
    return functional.huber_loss(predicted, true, reduction="none", delta=KNEE) / KNEE


def r_squared(predicted: Tensor, true: Tensor) -> dict[str, float]:
    """Coefficient of determination of each factor over N faces: 1 is perfect, 0 is as good as the mean."""
    residual = (true - predicted).square().sum(dim=0)
    spread = (true - true.mean(dim=0)).square().sum(dim=0).clamp(min=1e-9)
    return {name: float(value) for name, value in zip(FACTORS, 1 - residual / spread, strict=True)}
