"""Who pays: the figures of an evaluation by skin, hair, turn of the head and light.

Groups are told from the pictures, so that photographs have them too. Skin is the individual typology angle of the
cheeks (Chardon et al., 1991), hair the luma at the crown, each the median of a person's pictures; they and the light
make thirds of the test set, because a lamp's colour moves the angle and no fixed limits hold under every light.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from identity_masker.faces.descriptors import describe_light
from identity_masker.faces.face_set import FACTORS, FaceSet

if TYPE_CHECKING:  # brings torch, which who only reads the evidence does not need
    from identity_masker.masking.alignment import Images

Floats = NDArray[np.float64]
Names = NDArray[np.str_]

THIRDS = {
    "skin": ("darkest third", "middle third", "lightest third"),
    "hair": ("darkest third", "middle third", "lightest third or bald"),
    "light": ("dimmest third", "middle third", "brightest third"),
}
TURNS = ("frontal", "half", "turned")
"""Thirds of the range of the yaw."""
CHEEKS = ((0.37, 0.58, 0.05), (0.63, 0.58, 0.05))
CROWN = (0.5, 0.02, 0.08)
"""Windows of the upright face: centre and half side."""
SMALLEST = 2


class GroupFigures(BaseModel):
    """Figures of one group. Errors are means over pictures, as shares of the factors' half range; null: not measured.

    rank1, auc  of the strong attacker with the better gallery; `auc` is the share of the templates of others that
                score below the person's own (`verification.areas_below`)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    name: str
    people: int
    probes: int
    figures: dict[str, tuple[float, float, float]]


class Told(NamedTuple):
    """One figure of every picture or probe: its rows in the test set and its values."""

    rows: NDArray[np.int64]
    values: Floats


def tell(faces: FaceSet) -> dict[str, Names]:
    """The group of each picture, by what it is told from. Faces without landmarks have no skin, hair or turn."""
    told = {"light": _thirds(describe_light(faces.images)["brightness"], THIRDS["light"])}
    if faces.landmarks is not None:
        skin = [_angle(colour) for colour in _patches(faces, CHEEKS)]
        hair = _patches(faces, (CROWN,)) @ np.array([0.299, 0.587, 0.114]) / 255.0
        told["skin"] = _thirds(_of_person(np.array(skin), faces.identities), THIRDS["skin"])
        told["hair"] = _thirds(_of_person(hair, faces.identities), THIRDS["hair"])
    if faces.factors is not None:
        yaw = np.abs(faces.factors[:, FACTORS.index("yaw")])
        told["turn"] = np.array(TURNS)[np.searchsorted([1 / 3, 2 / 3], yaw, side="right")]
    return told


def by_group(
    groups: Mapping[str, Names], identities: Names, told: Mapping[str, Told], resamples: int, confidence: float,
    seed: int,
) -> tuple[GroupFigures, ...]:  # fmt: skip
    """Each figure of `told` within each group, with intervals by bootstrap over the group's people."""
    return tuple(
        GroupFigures(
            by=by, name=str(name), people=len(np.unique(identities[names == name])),
            probes=int((names[next(iter(told.values())).rows] == name).sum()),
            figures={
                figure: found
                for figure, one in told.items()
                if (found := _within(one, names == name, identities, resamples, confidence, seed)) is not None
            },
        )
        for by, names in groups.items()
        for name in np.unique(names)
    )  # fmt: skip


def worst(groups: tuple[GroupFigures, ...], least_probes: int) -> Iterator[tuple[str, GroupFigures]]:
    """For each figure, lower being better, the group of at least `least_probes` probes that fares worst."""
    judged = [group for group in groups if group.probes >= least_probes]
    for figure in dict.fromkeys(name for group in judged for name in group.figures):
        yield figure, max((g for g in judged if figure in g.figures), key=lambda group: group.figures[figure][0])


def _within(
    told: Told, chosen: NDArray[np.bool_], identities: Names, resamples: int, confidence: float, seed: int
) -> tuple[float, float, float] | None:
    inside = chosen[told.rows]
    people, owner = np.unique(identities[told.rows[inside]], return_inverse=True)
    if len(people) < SMALLEST:
        return None
    sums = np.bincount(owner, told.values[inside], len(people))
    counts = np.bincount(owner, minlength=len(people))
    drawn = np.random.default_rng(seed).multinomial(len(people), np.full(len(people), 1 / len(people)), size=resamples)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile((drawn @ sums) / (drawn @ counts), [tail, 1.0 - tail])
    return float(sums.sum() / counts.sum()), float(low), float(high)


def _thirds(values: NDArray[np.floating], names: tuple[str, str, str]) -> Names:
    found: Names = np.array(names)[np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values, side="left")]
    return found


def _of_person(values: NDArray[np.floating], identities: Names) -> Floats:
    """Each picture's value replaced by the median of its person's."""
    _, owner = np.unique(identities, return_inverse=True)
    medians = np.array([np.median(values[owner == person]) for person in range(owner.max() + 1)])
    found: Floats = medians[owner]
    return found


def _patches(faces: FaceSet, windows: tuple[tuple[float, float, float], ...]) -> Floats:
    """(N, 3): the median colour in the windows of each upright face."""
    from identity_masker.masking.alignment import Frames, Window

    assert faces.landmarks is not None  # noqa: S101 - the caller has looked
    frames = Frames.of(faces.landmarks)
    seen: list[Images] = [frames.crop(faces.images, Window(x, y, half, 8)) for x, y, half in windows]
    found: Floats = np.median(np.concatenate([patch.reshape(len(faces), -1, 3) for patch in seen], axis=1), axis=1)
    return found


def _angle(colour: Floats) -> float:
    """Individual typology angle of an sRGB colour, degrees: arctan((L* - 50) / b*)."""
    linear = np.where(colour / 255 <= 0.04045, colour / 255 / 12.92, ((colour / 255 + 0.055) / 1.055) ** 2.4)
    _, y, z = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    bend: Callable[[float], float] = lambda t: t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116  # noqa: E731
    lightness, blue = 116 * bend(y) - 16, 200 * (bend(y) - bend(z / 1.0888))
    return float(np.degrees(np.arctan2(lightness - 50, max(blue, 1e-6))))
