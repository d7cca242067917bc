"""Following faces from frame to frame, so that a person keeps one fictitious face and is never bare.

Each frame's findings are assigned to the tracks that are alive by the overlap with where a track should be (the
assignment of least cost, as in SORT, Bewley et al. 2016). Since the whole video is there, a track is completed
afterwards: gaps are bridged, its ends are held for a moment, and its path is smoothed in both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.optimize import linear_sum_assignment

from identity_masker.media.crops import Square

Origin = Literal["found", "bridged", "held"]

LONGEST_GAP_S = 1.0
"""A face that is found again within this time is the same track, and its path in between is bridged."""
HOLD_S = 0.25
"""How long a track's place stays covered before its first and after its last finding."""
REACH = 0.45
"""How far a face may be from where it should be, in sides of its square."""
LARGEST_GROWTH = 1.6
RECENT = 6
"""Findings that say how fast a face moves; two alone would take the detector's trembling for speed."""
SMOOTHNESS_S = 0.1
"""Standard deviation of the Gaussian that a path is smoothed with."""


class Region(BaseModel):
    """Where a track's face is, or may be, in one frame."""

    model_config = ConfigDict(frozen=True)

    track: int
    x: float
    y: float
    side: float
    origin: Origin

    @property
    def square(self) -> Square:
        return Square(self.x, self.y, self.side)


@dataclass
class _Track:
    frames: list[int] = field(default_factory=list)
    squares: list[Square] = field(default_factory=list)

    def expected(self, frame: int) -> Square:
        """Where the face should be in `frame`: it goes on as in its last few findings."""
        last = self.squares[-1]
        if len(self.squares) < 2:
            return last
        back = min(len(self.squares), RECENT)
        before = self.squares[-back]
        share = (frame - self.frames[-1]) / (self.frames[-1] - self.frames[-back])
        return Square(last.x + (last.x - before.x) * share, last.y + (last.y - before.y) * share, last.side)


def follow(found: Sequence[Sequence[Square]], rate: float) -> list[list[Region]]:
    """The regions to mask in each frame, from the squares `found` in each; `rate` is in frames a second."""
    gap, hold = max(1, round(LONGEST_GAP_S * rate)), max(1, round(HOLD_S * rate))
    regions: list[list[Region]] = [[] for _ in found]
    for number, track in enumerate(_linked(found, gap)):
        for frame, region in _completed(number, track, hold, SMOOTHNESS_S * rate, len(found)):
            regions[frame].append(region)
    return regions


def _linked(found: Sequence[Sequence[Square]], gap: int) -> list[_Track]:
    tracks: list[_Track] = []
    for frame, squares in enumerate(found):
        alive = [track for track in tracks if frame - track.frames[-1] <= gap]
        taken = _assigned([track.expected(frame) for track in alive], squares)
        for at, square in enumerate(squares):
            track = alive[taken[at]] if at in taken else _Track()
            if at not in taken:
                tracks.append(track)
            track.frames.append(frame)
            track.squares.append(square)
    return tracks


def _assigned(expected: Sequence[Square], squares: Sequence[Square]) -> dict[int, int]:
    """The track of each square that belongs to one: {square: track}."""
    if not expected or not squares:
        return {}
    costs = np.array([[_distance(one, other) for one in expected] for other in squares])
    pairs = zip(*linear_sum_assignment(costs), strict=True)
    return {int(square): int(track) for square, track in pairs if costs[square, track] < REACH}


def _distance(one: Square, other: Square) -> float:
    """Distance of the middles in sides; beyond reach where one is much larger than the other."""
    small, large = sorted((one.side, other.side))
    if large > LARGEST_GROWTH * small:
        return 2.0
    return min(2.0, float(np.hypot(one.x - other.x, one.y - other.y)) / ((small + large) / 2))


def _completed(number: int, track: _Track, hold: int, smoothness: float, length: int) -> list[tuple[int, Region]]:
    first, last = track.frames[0], track.frames[-1]
    frames = np.arange(first, last + 1)
    values = np.array([[square.x, square.y, square.side] for square in track.squares])
    path = np.stack([np.interp(frames, track.frames, column) for column in values.T], axis=1)
    path = _smoothed(path, smoothness)
    known = set(track.frames)
    rows: list[tuple[int, Origin]] = [(int(f), "found" if int(f) in known else "bridged") for f in frames]
    before: list[tuple[int, Origin]] = [(f, "held") for f in range(max(0, first - hold), first)]
    after: list[tuple[int, Origin]] = [(f, "held") for f in range(last + 1, min(length, last + 1 + hold))]
    return [
        (frame, _region(number, path[min(max(frame, first), last) - first], origin))
        for frame, origin in (*before, *rows, *after)
    ]


def _region(number: int, values: np.ndarray, origin: Origin) -> Region:
    x, y, side = (round(float(value), 2) for value in values)
    return Region(track=number, x=x, y=y, side=side, origin=origin)


def _smoothed(path: np.ndarray, deviation: float) -> np.ndarray:
    """`path` (N, 3) convolved with a Gaussian; its ends weigh only what there is."""
    offsets = np.arange(-round(3 * deviation), round(3 * deviation) + 1)
    kernel = np.exp(-0.5 * (offsets / max(deviation, 1e-6)) ** 2)
    weight = np.convolve(np.ones(len(path)), kernel, mode="full")
    edge = len(offsets) // 2
    smooth = np.stack([np.convolve(column, kernel, mode="full") for column in path.T], axis=1)
    result: np.ndarray = (smooth / weight[:, None])[edge : edge + len(path)]
    return result
