"""A model's process whose network inverts pixels, and dies, hangs or fails on certain pictures. See `engine.host`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError
from identity_masker.serving.engine import host

ABORT, HANG, FAIL, REFUSE = (1, 2, 3), (1, 2, 4), (1, 2, 5), (1, 2, 6)
"""First pixels of such pictures."""


class FragileMasker:
    architecture = "fragile"
    size = 32

    def mask(self, images: NDArray[np.uint8], keys: Sequence[str]) -> NDArray[np.uint8]:
        marks = {tuple(int(value) for value in image[0, 0]) for image in images}
        if ABORT in marks or "dies" in keys:
            os.abort()
        if HANG in marks:
            time.sleep(1000)
        if FAIL in marks:
            raise ValueError(f"secret pixels {images[0, 0, 0]}")
        if REFUSE in marks:
            raise BadInputError("the sides are out of range", got="1 × 1")
        return np.asarray(255 - images, dtype=np.uint8)


def load(folder: Path, _threads: int) -> FragileMasker:
    if folder.name == "breaks":
        sys.exit(3)
    if not folder.exists():
        raise BadInputError("there is no such model", got=folder)
    return FragileMasker()


if __name__ == "__main__":
    host.main(sys.argv[1:], load)
