"""Finding faces: CenterFace (Xu et al., 2019, arXiv:1911.03599) over a pyramid of the picture.

The network is the published one; `scripts/pack_detector.py` says where it comes from. A face is found best when it
is some 30 to 60 pixels high, so every picture is looked at in several sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]

NETWORK = Path(__file__).parent / "detector" / "centerface.onnx"
LARGEST_SIDE = 1280
"""Longer side of the largest picture that is looked at; faces smaller than 1/80 of the longer side are not found."""
SMALLEST_SIDE = 96
SHRINKAGE = 1.5
"""From one size to the next. With 2, a quarter of drawn faces fell between two sizes and was not found."""
STRIDE = 32
CELL = 4
"""Pixels to a cell of the network's answer."""
OVERLAP = 0.3
"""Share of common area above which two findings are the same face."""
INSIDE = 0.7
"""Share of the smaller finding inside the larger one above which they are the same face."""


@dataclass(frozen=True)
class Face:
    """A face in a picture, in its pixels: from forehead to chin.

    landmarks  (5, 2): the eyes, the nose, the corners of the mouth
    """

    left: float
    top: float
    right: float
    bottom: float
    score: float
    landmarks: Floats

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top


class FaceDetector:
    """Finds faces of any size. One call computes on `threads` threads; calls of several threads may overlap."""

    def __init__(self, threshold: float = 0.2, threads: int = 1) -> None:
        """Findings with a score below `threshold` in (0, 1) are dropped. A face that is missed is shown: it is low."""
        self.threshold = threshold
        self._session = _session(threads)

    def find(self, picture: NDArray[np.uint8]) -> list[Face]:
        """The faces in `picture` (H, W, 3), the surest first."""
        found = [self._look(picture, *size) for size in _pyramid(*picture.shape[:2])]
        boxes, scores, landmarks = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return [_face(boxes[row], scores[row], landmarks[row]) for row in _distinct(boxes, scores)]

    def _look(self, picture: NDArray[np.uint8], width: int, height: int) -> tuple[Floats, Floats, Floats]:
        """Boxes (N, 4), scores (N,) and landmarks (N, 5, 2) found at `width` × `height`, in pixels of `picture`."""
        resized = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))
        pixels = resized.transpose(2, 0, 1)[None].astype(np.float32)
        heat, size, offset, points = (part[0] for part in self._session.run(None, {"input.1": pixels}))
        row, column = np.nonzero(heat[0] > self.threshold)
        high, wide = (np.exp(size[axis, row, column]) * CELL for axis in (0, 1))
        top = (row + offset[0, row, column] + 0.5) * CELL - high / 2
        left = (column + offset[1, row, column] + 0.5) * CELL - wide / 2
        pairs = points[:, row, column].reshape(5, 2, -1)  # y before x, as shares of the box
        landmarks = np.stack([pairs[:, 1] * wide + left, pairs[:, 0] * high + top], axis=-1).transpose(1, 0, 2)
        scale = np.array([picture.shape[1] / width, picture.shape[0] / height], np.float32)
        boxes = np.stack([left, top, left + wide, top + high], axis=1) * np.tile(scale, 2)
        return boxes.astype(np.float32), heat[0, row, column], (landmarks * scale).astype(np.float32)


def _face(box: Floats, score: np.float32, landmarks: Floats) -> Face:
    left, top, right, bottom = (float(edge) for edge in box)
    return Face(left, top, right, bottom, float(score), landmarks)


@lru_cache(maxsize=4)
def _session(threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # the published graph has unused outputs, which is warned of
    return onnxruntime.InferenceSession(str(NETWORK), options, providers=["CPUExecutionProvider"])


def _pyramid(height: int, width: int) -> Iterator[tuple[int, int]]:
    """The sizes (width, height) at which a picture is looked at: multiples of the network's stride."""
    longer = float(min(LARGEST_SIDE, max(height, width, SMALLEST_SIDE)))
    while longer >= SMALLEST_SIDE:
        scale = longer / max(height, width)
        yield _multiple(width * scale), _multiple(height * scale)
        longer /= SHRINKAGE


def _multiple(length: float) -> int:
    return max(STRIDE, round(length / STRIDE) * STRIDE)


def _distinct(boxes: Floats, scores: Floats) -> list[int]:
    """Rows of the findings that are left when each face is kept once, by its surest finding."""
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        if all(not _same(boxes[row], boxes[other]) for other in kept):
            kept.append(int(row))
    return kept


def _same(one: Floats, other: Floats) -> bool:
    common = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(common.clip(min=0).prod())
    areas = [float((box[2:] - box[:2]).prod()) for box in (one, other)]
    return shared > OVERLAP * (sum(areas) - shared) or shared > INSIDE * min(areas)
