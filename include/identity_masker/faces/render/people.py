"""Who is drawn: the numbers that make a person, constant over all pictures of that person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, get_args, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from identity_masker.faces.render import hashing

PEOPLE_STREAM = 1


@dataclass(frozen=True)
class Person:
    """Traits of N people, each a tensor (N, 1, 1) with its range; people are spread evenly over it.

    Lengths are in head units: the mean head is 1 high from its middle to the chin. Positions on the face are
    coordinates on the unit sphere, x to the right and y down.
    """

    head_width: Annotated[Tensor, (0.70, 0.90)]
    head_height: Annotated[Tensor, (0.92, 1.07)]
    taper: Annotated[Tensor, (-0.06, 0.26)]
    jaw: Annotated[Tensor, (-0.10, 0.16)]
    neck_width: Annotated[Tensor, (0.27, 0.42)]
    skin_tone: Annotated[Tensor, (0.0, 1.0)]
    skin_hue: Annotated[Tensor, (-0.06, 0.06)]
    blush: Annotated[Tensor, (0.0, 0.5)]

    eye_distance: Annotated[Tensor, (0.37, 0.47)]
    eye_height: Annotated[Tensor, (-0.15, -0.01)]
    eye_width: Annotated[Tensor, (0.185, 0.265)]
    eye_opening: Annotated[Tensor, (0.115, 0.165)]
    eye_tilt: Annotated[Tensor, (-0.20, 0.20)]
    iris_tone: Annotated[Tensor, (0.0, 1.0)]
    iris_size: Annotated[Tensor, (0.080, 0.112)]
    lashes: Annotated[Tensor, (0.018, 0.045)]
    eye_shadow: Annotated[Tensor, (0.0, 0.45)]

    brow_height: Annotated[Tensor, (0.25, 0.31)]
    brow_thickness: Annotated[Tensor, (0.028, 0.080)]
    brow_length: Annotated[Tensor, (0.19, 0.29)]
    brow_arch: Annotated[Tensor, (0.0, 0.08)]
    brow_darkness: Annotated[Tensor, (0.45, 1.0)]

    nose_length: Annotated[Tensor, (0.16, 0.32)]
    nose_width: Annotated[Tensor, (0.085, 0.19)]
    nose_bridge: Annotated[Tensor, (0.035, 0.085)]
    nostrils: Annotated[Tensor, (0.3, 1.0)]

    mouth_height: Annotated[Tensor, (0.49, 0.60)]
    mouth_width: Annotated[Tensor, (0.26, 0.36)]
    lip_upper: Annotated[Tensor, (0.022, 0.075)]
    lip_lower: Annotated[Tensor, (0.035, 0.100)]
    lip_colour: Annotated[Tensor, (0.0, 1.0)]
    lip_strength: Annotated[Tensor, (0.35, 0.95)]

    ear_size: Annotated[Tensor, (0.7, 1.35)]
    ear_height: Annotated[Tensor, (-0.10, 0.12)]

    hair_tone: Annotated[Tensor, (0.0, 1.0)]
    baldness: Annotated[Tensor, (0.0, 1.0)]
    hairline: Annotated[Tensor, (-0.86, -0.42)]
    hairline_peak: Annotated[Tensor, (-0.30, 0.40)]
    hair_parting: Annotated[Tensor, (-0.35, 0.35)]
    hair_volume: Annotated[Tensor, (0.03, 0.17)]
    hair_length: Annotated[Tensor, (-0.7, 1.0)]
    hair_stripes: Annotated[Tensor, (3.0, 9.0)]
    sideburns: Annotated[Tensor, (-0.05, 0.42)]

    beard: Annotated[Tensor, (-1.4, 1.0)]
    beard_reach: Annotated[Tensor, (0.36, 0.62)]
    moustache: Annotated[Tensor, (-1.4, 1.0)]

    freckles: Annotated[Tensor, (-1.0, 1.0)]
    freckle_pattern: Annotated[Tensor, (0.0, 4096.0)]
    mole_x: Annotated[Tensor, (-0.55, 0.55)]
    mole_y: Annotated[Tensor, (0.05, 0.70)]
    mole_size: Annotated[Tensor, (-0.035, 0.050)]
    second_mole_x: Annotated[Tensor, (-0.60, 0.60)]
    second_mole_y: Annotated[Tensor, (-0.45, 0.50)]
    second_mole_size: Annotated[Tensor, (-0.060, 0.045)]


RANGES: dict[str, tuple[float, float]] = {
    name: get_args(hint)[1] for name, hint in get_type_hints(Person, include_extras=True).items()
}
TRAITS = tuple(RANGES)

# Hair and skin are never quite the same in two pictures: share of a trait's range.
JITTER = {
    "hairline": 0.05, "hairline_peak": 0.10, "hair_parting": 0.10, "hair_volume": 0.10, "hair_length": 0.05,
    "hair_tone": 0.02, "skin_tone": 0.03, "blush": 0.25, "beard": 0.05, "eye_shadow": 0.10,
}  # fmt: skip
JITTER_WEIGHTS = torch.tensor([JITTER.get(name, 0.0) for name in TRAITS], dtype=torch.float32)


def numbers(seed: int, people: NDArray[np.int64]) -> Tensor:
    """(N, traits) in [0, 1): the numbers of the people with these indices in the world of `seed`."""
    return torch.from_numpy(hashing.uniform(hashing.row_keys(seed, PEOPLE_STREAM, people), len(TRAITS)))


def jittered(unit: Tensor, jitter: Tensor) -> Tensor:
    """The numbers (N, traits) of people in one picture; `jitter` in [-1, 1] moves the traits named in `JITTER`."""
    return (unit + jitter * JITTER_WEIGHTS).clamp(0.0, 1.0)


def from_numbers(unit: Tensor) -> Person:
    """The people with the given numbers (N, traits)."""
    columns = {
        name: (unit[:, column] * (high - low) + low).reshape(-1, 1, 1)
        for column, (name, (low, high)) in enumerate(RANGES.items())
    }
    return Person(**columns)
