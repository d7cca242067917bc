"""Champion and candidate on the same pictures, scored by one examiner: the evidence of a paired replay."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from identity_masker.masking.examination import Examination, Examiner
from identity_masker.masking.masker import Masker
from identity_masker.release.evidence import Pairs, ReplayEvidence
from identity_masker.telemetry import logs

BATCH = 64
Images = NDArray[np.uint8]
Column = list[float | None]
METRICS: dict[str, Callable[[Examination], float | None]] = {
    "leak": lambda found: found.leak,
    "face_missed": lambda found: float(not found.face_found),
    "change_outside": lambda found: found.outside,
}
"""What a replay measures of one masked picture, by the names that policies use. The lower, the better."""

log = logs.logger(__name__)


def paired(
    champion: Masker, candidate: Masker, images: Images, keys: Sequence[str], examiner: Examiner
) -> ReplayEvidence:
    """Both maskers on `images` (N, size, size, 3) with the same keys.

    A picture that a masker fails on is null for it. A metric that the clear picture itself does not allow (the head
    fills it, so nothing is outside) has no pair there.
    """
    columns: dict[str, tuple[Column, Column]] = {name: ([], []) for name in METRICS}
    for start in range(0, len(images), BATCH):
        batch, some = images[start : start + BATCH], list(keys[start : start + BATCH])
        first, second = (examined(masker, batch, some, examiner) for masker in (champion, candidate))
        for name, value in METRICS.items():
            for one, other in zip(first, second, strict=True):
                if _measurable(value, one, other):
                    columns[name][0].append(value(one) if one else None)
                    columns[name][1].append(value(other) if other else None)
    return ReplayEvidence(
        pairs={
            name: Pairs(champion=tuple(first), candidate=tuple(second))
            for name, (first, second) in columns.items()
            if first
        }
    )


def examined(masker: Masker, images: Images, keys: list[str], examiner: Examiner) -> list[Examination | None]:
    """The examination of each masked picture; None where the masker failed."""
    masked = _masked(masker, images, keys)
    done = [row for row, picture in enumerate(masked) if picture is not None]
    found: list[Examination | None] = [None] * len(images)
    if done:
        pictures = np.stack([picture for picture in masked if picture is not None])
        for row, examination in zip(done, examiner.examine(images[done], pictures), strict=True):
            found[row] = examination
    return found


def _masked(masker: Masker, images: Images, keys: list[str]) -> list[Images | None]:
    """The masked pictures; when a batch fails, one by one, so that a picture fails alone."""
    try:
        masked = masker.mask(images, keys)
        return [picture if _kept(picture, image) else None for picture, image in zip(masked, images, strict=True)]
    except Exception as error:  # whatever a candidate does, it is its failure and not the replay's
        if len(images) == 1:
            log.warning("replay_picture_failed", why=str(error) or type(error).__name__)
            return [None]
        return [_masked(masker, images[row : row + 1], keys[row : row + 1])[0] for row in range(len(images))]


def _kept(masked: Images, image: Images) -> bool:
    return masked.shape == image.shape and masked.dtype == np.uint8


def _measurable(
    value: Callable[[Examination], float | None], one: Examination | None, other: Examination | None
) -> bool:
    given = [found for found in (one, other) if found is not None]
    return all(value(found) is not None for found in given)
