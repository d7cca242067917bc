"""Masking all faces of a picture, or of a few neighbouring frames at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import MaskerError
from identity_masker.faces.detect import Face, FaceDetector
from identity_masker.masking.masker import Masker
from identity_masker.media.crops import Square, cover, cut, paste
from identity_masker.serving.worker import checked

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Place:
    """A face to mask: in which of the pictures, where, and the key of its fictitious face."""

    picture: int
    square: Square
    key: str


def find(picture: Image, detector: FaceDetector) -> list[Face]:
    """The faces in `picture`, the largest last, so that it is pasted over smaller ones behind it."""
    return sorted(detector.find(picture), key=lambda face: face.height)


def mask_places(pictures: Sequence[Image], places: Sequence[Place], masker: Masker) -> list[int]:
    """Mask all `places` in `pictures`, in place. Gives the rows of places that were covered with one colour instead,
    because the masker could not mask them: no face is left bare.

    The first places of all pictures go through the masker together where their sides are equal, then the second
    ones, which are cut from pictures whose first faces are masked already.
    """
    covered: list[int] = []
    for turn in _turns(places):
        for rows in _by_side(places, turn):
            here = [places[row] for row in rows]
            crops = np.stack([cut(pictures[place.picture], place.square) for place in here])
            results = _masked(crops, [place.key for place in here], masker)
            covered += [row for row, result in zip(rows, results, strict=True) if result is None]
            for place, crop, result in zip(here, crops, results, strict=True):
                paste(pictures[place.picture], place.square, cover(crop) if result is None else result)
    return sorted(covered)


def _turns(places: Sequence[Place]) -> list[list[int]]:
    """Rows of `places`, so that each picture comes at most once in a turn."""
    seen: dict[int, int] = {}
    turns: list[list[int]] = []
    for row, place in enumerate(places):
        turn = seen.get(place.picture, 0)
        seen[place.picture] = turn + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(row)
    return turns


def _by_side(places: Sequence[Place], rows: Sequence[int]) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for row in rows:
        groups.setdefault(places[row].square.pixels()[2], []).append(row)
    return list(groups.values())


def _masked(crops: Image, keys: list[str], masker: Masker) -> list[Image | None]:
    """Masked crops; None where the masker failed or gave back what it got."""
    try:
        results = list(masker.mask(crops, keys))
    except MaskerError:
        if len(crops) == 1:
            return [None]
        return [_masked(crops[at : at + 1], keys[at : at + 1], masker)[0] for at in range(len(crops))]
    return [_unless_unchanged(crop, result) for crop, result in zip(crops, results, strict=True)]


def _unless_unchanged(crop: Image, result: Image) -> Image | None:
    try:
        return checked(crop, result)
    except MaskerError:
        return None
