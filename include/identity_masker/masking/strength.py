"""How strongly to mask: 1 is the masker's own answer, 0 the picture as it was, between the two a blend of both.

Whatever is below 1 lets pixels of the face through. Evaluations and gates speak of strength 1 only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

Images = NDArray[np.uint8]


def blended(clear: Images, masked: Images, strength: float) -> Images:
    """`strength` of `masked` and the rest of `clear`, both (N, H, W, 3).

    Raises `BadInputError` for a strength outside [0, 1].
    """
    if not 0.0 <= strength <= 1.0:
        raise BadInputError("the masking strength is out of range", got=strength, allowed="0 (untouched) to 1 (full)")
    if strength == 1.0:
        return masked
    mixed = clear + (masked.astype(np.float32) - clear) * np.float32(strength)
    return np.rint(mixed).astype(np.uint8)


class Weakened:
    """A masker at less than full strength."""

    def __init__(self, masker: Masker, strength: float) -> None:
        self._masker, self.strength = masker, strength
        self.architecture, self.size = masker.architecture, masker.size

    def mask(self, images: Images, keys: Sequence[str]) -> Images:
        """As `Masker.mask`, blended with `images`."""
        return blended(images, self._masker.mask(images, keys), self.strength)
