"""Rendered people, few and small in number, and an evaluation that takes seconds."""

from __future__ import annotations

import numpy as np

from identity_masker.faces import render
from identity_masker.faces.face_set import FaceSet
from identity_masker.masking.evaluation_config import (
    EncoderConfig,
    EvaluationConfig,
    JudgeConfig,
    PowerConfig,
    StrongConfig,
)

TINY = EvaluationConfig(
    bootstrap=50,
    encoder=EncoderConfig(size=32, widths=(12, 16, 24, 32), embedding=32, steps=50, batch=32),
    strong=StrongConfig(views=1, steps=20, batch=32),
    power=PowerConfig(min_rank1_pixelated=0.1, min_rank1_identity=0.2),
    judge=JudgeConfig(widths=(8, 12, 16, 24), steps=25, batch=32),
)


def faces(first: int, people: int, shots: int) -> FaceSet:
    """`shots` pictures each of `people` people, from number `first` on."""
    who = np.repeat(np.arange(first, first + people), shots)
    drawn = render.draw(11, who, np.tile(np.arange(shots), people), 64)
    return FaceSet(drawn.images, np.array([f"p{number}" for number in who]), drawn.factors, drawn.landmarks)
