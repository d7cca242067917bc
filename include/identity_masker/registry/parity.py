"""The proof that the files that serving will load are the network that was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from identity_masker.errors import MaskerError
from identity_masker.faces import render
from identity_masker.masking import artifact, graph_files, loading
from identity_masker.registry.flavor import MASKER_FOLDER

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

PICTURES = 16
WORLD = 0x9A217
GRAPH_LEVELS = 1
"""By how much of 255 a pixel of the graphs may differ: they add up in another order than torch."""


class Parity(BaseModel):
    """`pictures` were masked by the trained network, by what is loaded from its files, and by its graphs.

    largest_difference        of a pixel of the loaded network, on the scale 0 to 255
    graph_largest_difference  of a pixel of the graphs; None for a kind that has none
    """

    pictures: int
    largest_difference: int
    graph_largest_difference: int | None


def check(trained: Masker, model: Path) -> Parity:
    """Mask drawn faces with `trained` and with what is loaded from the MLflow model in the folder `model`.

    Raises `MaskerError` when a pixel of the loaded network differs, for both run on this machine, or one of the
    graphs by more than a level.
    """
    people = np.arange(PICTURES)
    faces = render.draw(WORLD, people, np.zeros_like(people), trained.size).images
    keys = [f"parity/{row}" for row in range(PICTURES)]
    masked = trained.mask(faces, keys)
    folder = model / MASKER_FOLDER
    loaded = _difference(masked, artifact.load(folder).mask(faces, keys))
    served = None
    if graph_files.folder_of(folder) is not None:
        served = _difference(masked, loading.load(folder).mask(faces, keys))
    if loaded or (served or 0) > GRAPH_LEVELS:
        raise MaskerError(
            "the saved masker does not mask as the trained one",
            got=f"pixels that differ by up to {max(loaded, served or 0)} of 255",
            allowed=f"0 for the network, {GRAPH_LEVELS} for its graphs",
            fix="report this: saving, exporting or loading a masker loses something",
        )
    return Parity(pictures=PICTURES, largest_difference=loaded, graph_largest_difference=served)


def _difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    return int(np.abs(one.astype(np.int16) - other).max())
