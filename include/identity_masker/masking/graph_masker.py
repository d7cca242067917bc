"""The factor-bottleneck masker on ONNX Runtime: what servers call. Imports no torch.

Computes on one thread, and starts none, so that a process that holds it may be copied by fork.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from identity_masker.masking import graph_files
from identity_masker.masking.avatar_keys import avatar_of
from identity_masker.masking.pictures import check_finite, check_images, margins
from identity_masker.masking.resizing import weights

CALL_ERROR = 2e-5
"""As in `masking.bottleneck`: by how much a factor may differ between a picture read alone and in a batch."""
CALL_PIXELS = 8 * 64 * 64
"""Pixels drawn in a call: what stays in the second-level cache."""
READ_PIXELS = 64 * 256 * 256
"""Pixels that are floating-point numbers at a time."""

Images = NDArray[np.uint8]
Floats = NDArray[np.float32]


class GraphMasker:
    """The masker whose graphs lie in `folder`; `secret` chooses the avatars.

    Raises `NotFoundError` and `BadInputError` as `graph_files.read` does.
    """

    def __init__(self, folder: Path, secret: str) -> None:
        description, graphs = graph_files.read(folder)
        self.architecture, self.size = description.architecture, description.size
        self._half = (1 << (description.bits - 1)) - 1
        self._avatars, self._secret = description.avatars, secret.encode()
        self._reader = _session(graphs[graph_files.READER])
        self._remover = _session(graphs[graph_files.REMOVER])
        self._redrawer = _session(graphs[graph_files.REDRAWER])

    def mask(self, images: Images, keys: Sequence[str]) -> Images:
        """As `Masker.mask`; what a batch gives is to the bit what each picture gives alone."""
        check_images(images, keys)
        height, width = images.shape[1:3]
        left, right, top, bottom = margins(height, width)
        square = np.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)), mode="edge")
        avatars = np.array([avatar_of(key, self._secret, self._avatars) for key in keys], dtype=np.int64)
        pixels = max(height, width) ** 2
        at_a_time, read_at_a_time = max(1, CALL_PIXELS // pixels), max(1, READ_PIXELS // pixels)
        masked = np.empty_like(square)
        for at in range(0, len(square), read_at_a_time):
            pictures = _pictures(square[at : at + read_at_a_time])
            code = self._read(pictures)
            for row in range(0, len(pictures), at_a_time):
                rows = slice(row, row + at_a_time)
                drawn = self._drawn(pictures[rows], code[rows], avatars[at:][rows])
                masked[at + row : at + row + len(drawn)] = drawn
        return masked[:, top : top + height, left : left + width]

    def _read(self, pictures: Floats) -> Floats:
        """The code (N, 16) of `pictures`: the factors clamped and rounded to their levels."""
        factors = self._factors(pictures)
        check_finite(bool(np.isfinite(factors).all()))
        if len(pictures) > 1:
            for row in np.flatnonzero(self._near_edge(factors)):
                factors[row] = self._factors(pictures[row : row + 1])[0]
        code: NDArray[np.float32] = (np.rint(self._levels(factors)) / self._half).astype(np.float32)
        return code

    def _factors(self, pictures: Floats) -> Floats:
        inputs = {"pictures": pictures, "weights": weights(pictures.shape[-1], self.size)}
        factors: Floats = self._reader.run(None, inputs)[0]
        return factors

    def _levels(self, factors: Floats) -> Floats:
        levels: Floats = np.clip(factors, -1.0, 1.0) * np.float32(self._half)
        return levels

    def _near_edge(self, factors: Floats) -> NDArray[np.bool_]:
        """Rows that an error of `CALL_ERROR` could give another code: they are read again alone."""
        levels = self._levels(factors)
        to_edge = np.abs(levels - np.floor(levels) - np.float32(0.5))
        near: NDArray[np.bool_] = (to_edge < CALL_ERROR * self._half).any(axis=1)
        return near

    def _drawn(self, pictures: Floats, code: Floats, avatars: NDArray[np.int64]) -> Images:
        """Square `pictures` (N, 3, S, S) masked, some rows a call."""
        size = pictures.shape[-1]
        places = (np.arange(size, dtype=np.float32) * 2 + 1 - size) / np.float32(size)
        x, y = places.reshape(1, 1, size), places.reshape(1, size, 1)
        remaining, hole = self._remover.run(None, {"pictures": pictures, "code": code, "x": x, "y": y})
        step = max(1, CALL_PIXELS // (size * len(pictures)))
        density = np.array(size / 2, dtype=np.float32)
        parts = [
            self._redrawer.run(None, {
                "rows": remaining[:, :, top : top + step], "hole": hole[:, top : top + step], "code": code,
                "avatar": avatars, "x": x, "y": y[:, top : top + step], "density": density,
            })[0]
            for top in range(0, size, step)
        ]  # fmt: skip
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _pictures(images: Images) -> Floats:
    """(N, H, W, 3) of bytes → (N, 3, H, W) in [0, 1]."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
