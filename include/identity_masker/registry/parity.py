"""The proof that the files that serving will load are the network that was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from identity_masker.errors import MaskerError
from identity_masker.faces import render
from identity_masker.masking import artifact
from identity_masker.registry.flavor import MASKER_FOLDER

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

PICTURES = 16
WORLD = 0x9A217


class Parity(BaseModel):
    """`pictures` were masked by both; `largest_difference` of a pixel is on the scale 0 to 255."""

    pictures: int
    largest_difference: int


def check(trained: Masker, model: Path) -> Parity:
    """Mask drawn faces with `trained` and with what is loaded from the MLflow model in the folder `model`.

    Raises `MaskerError` when a single pixel differs: both run on this machine, so nothing may.
    """
    people = np.arange(PICTURES)
    faces = render.draw(WORLD, people, np.zeros_like(people), trained.size).images
    keys = [f"parity/{row}" for row in range(PICTURES)]
    before = trained.mask(faces, keys).astype(np.int16)
    after = artifact.load(model / MASKER_FOLDER).mask(faces, keys)
    difference = int(np.abs(before - after).max())
    if difference:
        raise MaskerError(
            "the saved masker does not mask as the trained one",
            got=f"pixels that differ by up to {difference} of 255",
            fix="report this: saving or loading a masker loses something",
        )
    return Parity(pictures=PICTURES, largest_difference=difference)
