"""Training a masker of any kind. A new kind is a case of `train`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from identity_masker.faces.face_set import FaceSet
from identity_masker.masking import training
from identity_masker.masking.config import ArchitectureConfig, MaskerConfig, ModelConfig, PixelationConfig
from identity_masker.masking.pixelation import PixelationMasker
from identity_masker.masking.processes import Group
from identity_masker.masking.training import Judged, Progress, TrainedMasker

SAMPLES = 8


def train(
    config: ModelConfig,
    faces: FaceSet,
    validation: FaceSet,
    checkpoint: Path,
    report: Callable[[Progress], None],
    group: Group | None = None,
) -> TrainedMasker:
    """Train the masker of `config` on `faces`; continue from `checkpoint` when it is there, for kinds that have one.

    Raises as the training of the kind does.
    """
    match config.architecture:
        case ArchitectureConfig() as architecture:
            bottleneck = MaskerConfig(architecture=architecture, training=config.training)
            return training.train(bottleneck, faces, validation, checkpoint, report, group)
        case PixelationConfig() as architecture:
            return _train_pixelation(architecture, validation, report)


def _train_pixelation(
    config: PixelationConfig, validation: FaceSet, report: Callable[[Progress], None]
) -> TrainedMasker:
    """One step in which nothing is learnt, so that the run has its curve and its samples as any other."""
    begun = time.perf_counter()
    masker = PixelationMasker(config)
    clear = validation.images[:SAMPLES]
    masked = masker.mask(clear, [f"sample/{row}" for row in range(len(clear))])
    speed = len(clear) / (time.perf_counter() - begun)
    report(Progress(1, 1, {"total": 0.0}, 0.0, speed, Judged(samples=np.stack([clear, masked]))))
    return TrainedMasker(
        masker=masker,
        steps=1,
        resumed_from=0,
        seconds=time.perf_counter() - begun,
        supervision="none: a mosaic has nothing to learn",
        r_squared={},
    )
