"""The classical masker: a mosaic, as television shows it. It looks anonymous and is not (McPherson et al., 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError
from identity_masker.masking.config import PixelationConfig
from identity_masker.masking.pictures import check_images

Images = NDArray[np.uint8]


class PixelationMasker:
    """Replaces blocks of each picture by their mean. Keys change nothing: there is no fictitious face."""

    architecture = "pixelation"

    def __init__(self, config: PixelationConfig) -> None:
        self.config = config
        self.size = config.size

    def mask(self, images: Images, keys: Sequence[str]) -> Images:
        """As `Masker.mask`. Raises `BadInputError` where a block would be a pixel, and the mosaic the picture."""
        check_images(images, keys)
        height, width = images.shape[1:3]
        edge = max(height, width) // self.config.blocks
        if edge < 2:
            raise BadInputError(
                "the picture is too small for this mosaic",
                got=f"{width} × {height}",
                allowed=f"a longer side of at least {2 * self.config.blocks} pixels",
                fix="set architecture.blocks to a smaller number, or send larger pictures",
            )
        rows, columns = (_starts(length, edge) for length in (height, width))
        sums = np.add.reduceat(np.add.reduceat(images.astype(np.int64), rows, axis=1), columns, axis=2)
        heights, widths = np.diff(rows, append=height), np.diff(columns, append=width)
        means = np.rint(sums / (heights[:, None] * widths)[None, :, :, None]).astype(np.uint8)
        mosaic: Images = means.repeat(heights, axis=1).repeat(widths, axis=2)
        return mosaic


def _starts(length: int, edge: int) -> NDArray[np.int64]:
    """Where the blocks of about `edge` pixels begin along `length` pixels."""
    count = max(1, length // edge)
    return np.arange(count, dtype=np.int64) * length // count
