"""Which pictures do not look like the person they are said to show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Indices = NDArray[np.integer]

DIRECTIONS = 12
"""Directions in which people differ most from one another; the others say more about light and pose."""

_LEAST = 0.02
_AT_ONCE = 1 << 22
_ROWS = 8192


class _Model(NamedTuple):
    """People as normal distributions with the spread 1 in all directions around a centre of their own.

    sums      (P, K) of each person's points
    sizes     (P,) pictures of each person
    between   (K,) the variance of the centres
    """

    sums: Doubles
    sizes: Doubles
    between: Doubles

    def expected(self, sums: Doubles, sizes: Doubles) -> tuple[Doubles, Doubles]:
        """Mean and variance of the next point of those of whom `sizes` (N, 1) points with these `sums` are known."""
        known = sizes * self.between + 1
        return self.between * sums / known, 1 + self.between / known


def identity_margins(vectors: NDArray[np.floating], people: Indices) -> Floats:
    """How much likelier each picture is one of its own person than of the likeliest other (N,), as a power of ten.

    `people` (N,) numbers persons from 0, `vectors` (N, D) are what the pictures look like. At -2 another person is a
    hundred times as likely as the own one, of whom the picture itself is left out. NaN for a person's only picture and
    where there is one person alone. The model is probabilistic linear discriminant analysis (Ioffe 2006): pictures of a
    person spread alike around a centre, which itself is drawn at random, so that few pictures are trusted little.
    """
    count = int(people.max()) + 1 if len(people) else 0
    sizes = np.bincount(people, minlength=count).astype(np.float64)
    if count < 2 or not (sizes > 1).any():
        return np.full(len(people), np.nan, dtype=np.float32)
    points, between = _spread_alike(vectors, people, sizes)
    sums = np.zeros((count, points.shape[1]))
    np.add.at(sums, people, points)
    model = _Model(sums, sizes, between)
    own_mean, own_variance = model.expected(sums[people] - points, sizes[people, None] - 1)
    own = -0.5 * ((points - own_mean) ** 2 / own_variance + np.log(own_variance)).sum(axis=1)
    margins: Floats = ((own - _likeliest_other(points, people, model)) / np.log(10)).astype(np.float32)
    margins[sizes[people] < 2] = np.nan
    return margins


def _spread_alike(vectors: NDArray[np.floating], people: Indices, sizes: Doubles) -> tuple[Doubles, Doubles]:
    """Points (N, K) that spread alike within persons, in directions in which persons differ, and how much they do."""
    means = np.zeros((len(sizes), vectors.shape[1]))
    for chunk in _chunks(len(vectors)):
        np.add.at(means, people[chunk], vectors[chunk].astype(np.float64))
    centre = means.sum(axis=0) / len(people)
    means = means / np.maximum(sizes, 1)[:, None] - centre
    scatter = np.zeros((vectors.shape[1], vectors.shape[1]))
    for chunk in _chunks(len(vectors)):
        inner = vectors[chunk].astype(np.float64) - centre - means[people[chunk]]
        scatter += inner.T @ inner
    turn, between = _turn(scatter / max(1, len(people) - int(np.count_nonzero(sizes))), means, sizes)
    points = np.empty((len(vectors), turn.shape[1]))
    for chunk in _chunks(len(vectors)):
        points[chunk] = (vectors[chunk].astype(np.float64) - centre) @ turn
    return points, between


def _turn(within: Doubles, means: Doubles, sizes: Doubles) -> tuple[Doubles, Doubles]:
    """What turns vectors into points (D, K), and `between`, of the scatter within persons and their means (P, D)."""
    length, pictures = len(within), sizes.sum()
    # The fewer pictures there are for each number of the scatter, the less it is believed.
    shrinkage = 2 * length / (2 * length + pictures)
    average = max(float(np.trace(within)) / length, np.finfo(np.float64).tiny)
    values, axes = np.linalg.eigh((1 - shrinkage) * within + shrinkage * average * np.eye(length))
    alike = axes / np.sqrt(values)
    outer = np.where(sizes[:, None] > 0, means, 0) @ alike
    values, axes = np.linalg.eigh((outer.T * sizes) @ outer / pictures)
    between = values - np.count_nonzero(sizes) / pictures
    return alike @ axes[:, -DIRECTIONS:], np.maximum(between[-DIRECTIONS:], _LEAST)


def _chunks(length: int) -> Iterator[slice]:
    return (slice(at, at + _ROWS) for at in range(0, length, _ROWS))


def _likeliest_other(points: Doubles, people: Indices, model: _Model) -> Doubles:
    """The logarithm of the density at each point of the person, other than its own, under whom it is highest (N,)."""
    mean, variance = model.expected(model.sums, model.sizes[:, None])
    weight = 1 / variance
    constant = -0.5 * (np.log(variance) + mean**2 * weight).sum(axis=1)
    constant[model.sizes == 0] = -np.inf
    highest = np.empty(len(points))
    rows = max(1, _AT_ONCE // len(mean))
    for at in range(0, len(points), rows):
        chunk = points[at : at + rows]
        density = constant - 0.5 * chunk**2 @ weight.T + chunk @ (mean * weight).T
        density[np.arange(len(chunk)), people[at : at + rows]] = -np.inf
        highest[at : at + rows] = density.max(axis=1)
    return highest
