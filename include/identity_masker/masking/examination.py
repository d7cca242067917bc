"""Examines what a masker made of pictures, by networks that know no masker. Needs no torch.

The same examiner scores both arms of a release, so a version cannot be judged by a network that it was fitted to.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from identity_masker.masking.background import outside_head
from identity_masker.masking.calibration import GRAPH, Calibration, read_calibration

Images = NDArray[np.uint8]
Floats = NDArray[np.float64]

CHANGED = 16
"""Levels of 255. Encoding a picture again as JPEG moves a channel by less."""


class Examination(NamedTuple):
    """Of one masked picture.

    leak        0: as alike as unrelated people; 1: taken for the same person; between the two, how far
    face_found  whether there still is a face
    outside     share of the pixels outside the head that changed; None where the head fills the picture
    """

    leak: float
    face_found: bool
    outside: float | None


class Sight(NamedTuple):
    """What the networks see of N pictures: unit embeddings (N, D), face (N,) above 0, landmarks (N, 10, 2)."""

    embedding: Floats
    face: Floats
    landmarks: NDArray[np.float32]


class Examiner:
    """The examiner in a folder. Computes on one thread."""

    def __init__(self, folder: Path) -> None:
        """Raises `NotFoundError` and `BadInputError` as `read_calibration` does."""
        self.calibration: Calibration = read_calibration(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(folder / GRAPH), options, providers=["CPUExecutionProvider"])
        self._face = np.array(self.calibration.face)

    @property
    def size(self) -> int:
        return self.calibration.size

    @property
    def name(self) -> str:
        return self.calibration.name

    def see(self, images: Images) -> Sight:
        """Images (N, size, size, 3)."""
        embedding, features, landmarks = self._session.run(None, {"images": np.ascontiguousarray(images)})
        face = features.astype(np.float64) @ self._face[:-1] + self._face[-1]
        return Sight(embedding.astype(np.float64), face, landmarks)

    def examine(self, before: Images, after: Images) -> list[Examination]:
        """One examination for each pair of `before` and `after`, both (N, size, size, 3)."""
        clear, masked = self.see(before), self.see(after)
        leak = leaks((clear.embedding * masked.embedding).sum(axis=1), self.calibration)
        outside = self._outside(before, after, clear.landmarks)
        found = zip(leak, masked.face > 0.0, outside, strict=True)
        return [Examination(float(leaked), bool(face), changed) for leaked, face, changed in found]

    def _outside(self, before: Images, after: Images, landmarks: NDArray[np.float32]) -> list[float | None]:
        if not self.calibration.finds_landmarks:
            return [None] * len(before)
        apart = np.maximum(before, after) - np.minimum(before, after)
        changed: NDArray[np.bool_] = (apart > CHANGED).any(axis=3)  # type: ignore[assignment]
        outside: NDArray[np.bool_] = outside_head(landmarks, *before.shape[1:3])
        return [
            float(moved[around].mean()) if around.any() else None
            for moved, around in zip(changed, outside, strict=True)
        ]


def leaks(scores: Floats, calibration: Calibration) -> Floats:
    """Cosines as leaks in [0, 1]."""
    width = max(calibration.same - calibration.unrelated, 1e-6)
    leaked: Floats = np.clip((scores - calibration.unrelated) / width, 0.0, 1.0)
    return leaked
