"""A masked picture as 32 small numbers: enough to see that pictures look different, too little to see a face.

The lowest frequencies of the picture at 16 × 16 by the discrete cosine transform (as in JPEG, ITU-T T.81, A.3.3): 24 of
its luma in zigzag order and 4 of each colour difference. Signed square roots bring the small high frequencies near the
large low ones (Perronnin, Sánchez & Mensink, ECCV 2010, section 3.2).
"""

from __future__ import annotations

import base64
import binascii

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError

SIDE = 16
LUMA, COLOUR = 24, 4
SIZE = LUMA + 2 * COLOUR
LARGEST = 127
# Luma, blue and red difference of ITU-R BT.601, each within [-1, 1].
_CHANNELS = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], dtype=np.float32)


def picture_codes(images: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Codes (N, 32) of square `images` (N, S, S, 3). Raises `BadInputError` when 16 does not divide S."""
    count, side = len(images), images.shape[1]
    if images.ndim != 4 or images.shape[1] != images.shape[2] or side % SIDE:
        raise BadInputError(
            "a picture has no code", got=f"shape {images.shape}", allowed="squares, 16 divides the side"
        )
    step = side // SIDE
    blocks = images.reshape(count, SIDE, step, SIDE, step, 3).mean(axis=(2, 4), dtype=np.float32) / 255
    planes = np.moveaxis(blocks @ _CHANNELS.T, -1, 1)
    waves = _WAVES @ planes @ _WAVES.T / SIDE
    flat = waves.reshape(count, 3, SIDE * SIDE)[:, :, _ZIGZAG]
    chosen = np.concatenate([flat[:, 0, :LUMA], flat[:, 1, :COLOUR], flat[:, 2, :COLOUR]], axis=1)
    rooted = np.sign(chosen) * np.sqrt(np.abs(chosen))
    codes: NDArray[np.int8] = np.rint(np.clip(rooted, -1.0, 1.0) * LARGEST).astype(np.int8)
    return codes


def to_text(code: NDArray[np.int8]) -> str:
    """A code (32,) as the event log holds it: 44 characters."""
    return base64.b64encode(code.astype(np.int8).tobytes()).decode()


def from_text(text: str) -> NDArray[np.float32] | None:
    """The numbers (32,) in [-1, 1] that `to_text` was given; None for a text that is not a code."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(content) != SIZE:
        return None
    numbers: NDArray[np.float32] = np.frombuffer(content, dtype=np.int8).astype(np.float32) / np.float32(LARGEST)
    return numbers


def _waves() -> NDArray[np.float32]:
    """The orthonormal matrix (16, 16) of the transform."""
    place, wave = np.arange(SIDE) + 0.5, np.arange(SIDE)[:, None]
    matrix: NDArray[np.float64] = np.cos(np.pi * wave * place / SIDE) * np.sqrt(2.0 / SIDE)
    matrix[0] /= np.sqrt(2.0)
    return matrix.astype(np.float32)


def _zigzag() -> NDArray[np.int64]:
    """Flat places of a 16 × 16 square, diagonal by diagonal from the lowest frequency."""
    places = [(row + column, (row if (row + column) % 2 else column), row * SIDE + column)
              for row in range(SIDE) for column in range(SIDE)]  # fmt: skip
    return np.array([place for _, _, place in sorted(places)])


_WAVES, _ZIGZAG = _waves(), _zigzag()
