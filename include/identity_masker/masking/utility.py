"""What is left of use after masking: an independent judge reads pose, expression, gaze, light and landmarks.

Where nobody labelled factors (real photographs) there is no judge and utility is not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from identity_masker.faces.face_set import FACTORS

if TYPE_CHECKING:  # they bring torch, which who only reads the evidence does not need
    from identity_masker.masking.alignment import Points
    from identity_masker.masking.judge import Floats, Labels, Reading
    from identity_masker.masking.resampling import Resampling

GROUPS: Mapping[str, tuple[str, ...]] = {
    "pose": ("yaw", "pitch", "roll"),
    "gaze": ("gaze_x", "gaze_y"),
    "blink": ("blink",),
    "brow": ("brow",),
    "mouth": ("mouth_open",),
    "smile": ("smile",),
    "light": ("light_azimuth", "light_elevation", "light_strength"),
}
EYE_CORNERS = slice(0, 4)


class Kept(BaseModel):
    """One measure on clear and on masked pictures; `low` and `high` hold the latter, by bootstrap over people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clear: float
    masked: float
    low: float | None = None
    high: float | None = None


class Utility(BaseModel):
    """What a judge reads against the labels of the clear pictures.

    groups          R² of groups of factors: 1 is perfect, 0 is as good as the mean, below is worse
    landmark_error  mean distance as a share of that between the eyes; a fictitious face has other proportions, so
                    that masking raises it even where pose and expression are kept
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: dict[str, Kept]
    landmark_error: Kept


def measure_utility(clear: Reading, masked: Reading, labels: Labels, resample: Resampling | None = None) -> Utility:
    """Compare what was read in the clear pictures and in the masked ones with the labels of the clear ones.

    `resample` gives the intervals.
    """

    def kept(members: tuple[str, ...]) -> Kept:
        value = group_r2(masked.factors, labels.factors, members)
        low, high = (
            (None, None)
            if resample is None
            else resample.interval(lambda rows: group_r2(masked.factors[rows], labels.factors[rows], members))
        )
        return Kept(clear=group_r2(clear.factors, labels.factors, members), masked=value, low=low, high=high)

    groups = {name: kept(members) for name, members in GROUPS.items()}
    error = Kept(
        clear=landmark_error(clear.landmarks, labels.landmarks),
        masked=landmark_error(masked.landmarks, labels.landmarks),
    )
    return Utility(groups=groups, landmark_error=error)


def group_r2(told: Floats, true: Floats, members: tuple[str, ...]) -> float:
    """Mean R² of the factors `members`; a factor that does not vary has none and is left out."""
    columns = [FACTORS.index(name) for name in members]
    residual = ((true[:, columns] - told[:, columns]) ** 2).sum(axis=0)
    spread = ((true[:, columns] - true[:, columns].mean(axis=0)) ** 2).sum(axis=0)
    varied = spread > 1e-9
    return float(np.mean(1.0 - residual[varied] / spread[varied])) if varied.any() else 0.0


def landmark_errors(found: Points, true: Points) -> Floats:
    """(N,) distances of found and true landmarks (N, 10, 2) as shares of that between the outer eye corners."""
    corners = true[:, EYE_CORNERS]
    width = np.linalg.norm(corners[:, :, None] - corners[:, None, :], axis=-1).max(axis=(1, 2))
    errors: Floats = np.linalg.norm(found - true, axis=-1).mean(axis=1) / np.maximum(width, 1e-6)
    return errors


def landmark_error(found: Points, true: Points) -> float:
    """Mean distance of found and true landmarks (N, 10, 2) as a share of the distance between the outer eye corners.

    The usual normalised mean error, with the widest pair of eye corners of each picture.
    """
    return float(np.mean(landmark_errors(found, true)))
