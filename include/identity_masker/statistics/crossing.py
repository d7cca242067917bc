"""First crossing of boundaries by a Brownian motion looked at a few times: exact recursive numerical integration.

The score at information t is B(t) ~ N(drift·t, t) with independent increments; its z value is B(t)/√t. The density
of B over the scores at which nothing was crossed yet is carried from look to look on Gauss-Legendre nodes.
Source of the recursion: Armitage, McPherson & Rowe, JRSS A 132 (1969) 235-244.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from identity_masker.errors import BadInputError
from identity_masker.statistics.quadrature import quadrature_between
from identity_masker.statistics.samples import Floats, sample

# Mass beyond this many standard deviations is below 1e-23: nothing that a boundary depends on.
REACH = 10.0
PANEL_IN_DEVIATIONS = 2.0
ROWS_AT_ONCE = 256
# Closer looks would need hundreds of thousands of nodes.
SMALLEST_STEP = 1e-7

Interval = tuple[float, float]


class Crossing(NamedTuple):
    """Probability of crossing first at each look, above `upper` and below `lower`."""

    above: Floats
    below: Floats


@dataclass(frozen=True)
class Density:
    """Sub-density of the score at information `time`: masses at nodes."""

    time: float
    drift: float
    nodes: Floats
    masses: Floats

    @classmethod
    def at_start(cls, drift: float = 0.0) -> Density:
        return cls(0.0, drift, np.zeros(1), np.ones(1))

    def above(self, score: float, time: float) -> float:
        """P(not crossed before, and B(time) > score)."""
        return float(self.masses @ ndtr((self.nodes + self.drift * (time - self.time) - score) / self._step(time)))

    def below(self, score: float, time: float) -> float:
        """P(not crossed before, and B(time) < score)."""
        return float(self.masses @ ndtr((score - self.nodes - self.drift * (time - self.time)) / self._step(time)))

    def at(self, scores: Floats, time: float) -> Floats:
        """Density of B(time) at sorted `scores`."""
        step = self._step(time)
        centres = self.nodes + self.drift * (time - self.time)
        result = np.empty_like(scores)
        for start in range(0, scores.size, ROWS_AT_ONCE):
            block = scores[start : start + ROWS_AT_ONCE]
            first, last = np.searchsorted(centres, (block[0] - REACH * step, block[-1] + REACH * step))
            distance = (block[:, None] - centres[None, first:last]) / step
            result[start : start + ROWS_AT_ONCE] = np.exp(-0.5 * distance**2) @ self.masses[first:last]
        result /= step * np.sqrt(2.0 * np.pi)
        return result

    def carried(self, intervals: Sequence[Interval], time: float, next_time: float | None) -> Density:
        """The density at `time` over `intervals` of scores; `next_time` is the look after it, if there is one."""
        finest = min(time - self.time, time, (next_time or np.inf) - time)
        centre, reach = self.drift * time, REACH * np.sqrt(time)
        clipped = [(max(low, centre - reach), min(high, centre + reach)) for low, high in intervals]
        grids = [_grid(low, high, float(np.sqrt(finest))) for low, high in clipped if low < high]
        if not grids:
            return Density(time, self.drift, np.zeros(1), np.zeros(1))
        nodes = np.concatenate([grid[0] for grid in grids])
        weights = np.concatenate([grid[1] for grid in grids])
        return Density(time, self.drift, nodes, weights * self.at(nodes, time))

    def _step(self, time: float) -> float:
        return float(np.sqrt(time - self.time))


def crossing_probabilities(
    information: ArrayLike,
    upper: ArrayLike,
    lower: ArrayLike,
    drift: float = 0.0,
    inner: ArrayLike | None = None,
) -> Crossing:
    """Probabilities of crossing the z boundaries `upper` and `lower` first at each look.

    `information` grows; `drift` is the expected z at information 1. Boundaries may be infinite. `inner`, if given,
    stops at |z| < inner without a rejection (NaN or negative: no inner stop at that look).
    Accuracy about 1e-12.
    """
    times = fractions(information)
    bounds = [_boundary(upper, times.size, "upper"), _boundary(lower, times.size, "lower")]
    if np.any(bounds[1] > bounds[0]):
        raise BadInputError("the lower boundary is above the upper one", got=f"{bounds[1]} and {bounds[0]}")
    wedge = np.full(times.size, np.nan) if inner is None else np.asarray(inner, dtype=np.float64)
    density = Density.at_start(drift)
    above, below = np.zeros(times.size), np.zeros(times.size)
    for look, time in enumerate(times):
        high, low = bounds[0][look] * np.sqrt(time), bounds[1][look] * np.sqrt(time)
        above[look] = density.above(high, time) if np.isfinite(high) else 0.0
        below[look] = density.below(low, time) if np.isfinite(low) else 0.0
        if look + 1 < times.size:
            density = density.carried(_open(low, high, wedge[look] * np.sqrt(time)), time, times[look + 1])
    return Crossing(above, below)


def fractions(information: ArrayLike) -> Floats:
    """`information` checked: finite, above zero, growing from look to look."""
    times = sample(information, "information")
    if times[0] <= 0.0 or np.any(np.diff(times) <= 0.0):
        raise BadInputError("information does not grow", got=times.tolist(), allowed="numbers above zero, each larger")
    steps = np.diff(times, prepend=0.0)
    if steps.min() < SMALLEST_STEP * times[-1]:
        raise BadInputError(
            "two looks lie too close together",
            got=f"a gain of {steps.min():g} of {times[-1]:g}",
            fix="leave out looks that bring no new information",
        )
    return times


def _open(low: float, high: float, inner: float) -> list[Interval]:
    if not inner > 0.0:
        return [(low, high)]
    return [(low, min(-inner, high)), (max(inner, low), high)]


def _boundary(values: ArrayLike, size: int, name: str) -> NDArray[np.float64]:
    boundary = np.broadcast_to(np.asarray(values, dtype=np.float64), (size,))
    if np.any(np.isnan(boundary)):
        raise BadInputError(f"the {name} boundary holds NaN", got=boundary.tolist(), allowed="numbers or infinity")
    return boundary


def _grid(low: float, high: float, deviation: float) -> tuple[Floats, Floats]:
    """Nodes and weights on [low, high] in panels of two `deviation`s."""
    panels = max(1, int(np.ceil((high - low) / (PANEL_IN_DEVIATIONS * deviation))))
    return quadrature_between(np.linspace(low, high, panels + 1))
