"""Small maskers and faces for tests."""

from __future__ import annotations

import numpy as np
import torch

from identity_masker.faces import render
from identity_masker.faces.face_set import FaceSet
from identity_masker.masking.config import ArchitectureConfig, LookConfig, MaskerConfig, TrainingConfig
from identity_masker.masking.masker import FactorBottleneckMasker
from identity_masker.masking.networks import FactorReader

LOOK = LookConfig(size=32, widths=(4, 4, 6, 6), hidden=8)
SMALL = ArchitectureConfig(whole=LOOK, head=LOOK, face=LOOK, avatars=8)
SECRET = "only for this test"


def small_masker(seed: int = 0, secret: str = SECRET) -> FactorBottleneckMasker:
    """A masker with random weights: it errs about the pose, and masks all the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FactorBottleneckMasker(SMALL, FactorReader(SMALL), secret)


def faces(count: int, seed: int = 3, *, labelled: bool = True) -> FaceSet:
    people = np.arange(count) // 2
    drawn = render.draw(seed, people, np.arange(count), 64)
    names = people.astype(str)
    return FaceSet(drawn.images, names, drawn.factors, drawn.landmarks) if labelled else FaceSet(drawn.images, names)


def plan(**changes: float | str | None) -> MaskerConfig:
    values = {"steps": 8, "batch": 8, "rendered_share": 0.5, "checkpoint_steps": 4, **changes}
    return MaskerConfig(architecture=SMALL, training=TrainingConfig.model_validate(values))
