"""Which pictures are alike, and which do not look like the person they are said to show."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.integer]

HASH_BITS = 4
"""Perceptual hashes of near duplicates differ in at most so many of their 64 bits."""

LOOK = 0.05
"""Vectors of near duplicates (`descriptors.embed`) are at most so far apart, where black and white are 1 apart."""

_BANDS = HASH_BITS + 1
_SHRINKAGE = 0.1
_AT_ONCE = 1 << 22


class Pairs(NamedTuple):
    """Rows that belong together, `first` < `second`, each pair once."""

    first: Indices
    second: Indices


def near_duplicates(hashes: NDArray[np.int64], embeddings: Floats) -> Pairs:
    """Pairs of pictures that differ by little more than compression: hashes (N,), embeddings (N, D).

    Hashes that differ in `HASH_BITS` bits agree on one of `HASH_BITS` + 1 bands of their bits, so only pictures that
    share a band are compared (Norouzi et al. 2012, multi-index hashing).
    """
    bits = hashes.astype(np.uint64)
    found = [_within_band(bits, _band(bits, band), embeddings) for band in range(_BANDS)]
    pairs = np.unique(np.concatenate(found), axis=0) if found else np.empty((0, 2), dtype=np.int64)
    return Pairs(pairs[:, 0], pairs[:, 1])


def identity_margins(embeddings: Floats, people: Indices) -> Floats:
    """How much more each picture looks like its own person's others than like the nearest other person (N,).

    `people` (N,) numbers persons from 0. Vectors are first turned so that differences within a person have the same
    spread in all directions (linear discriminant analysis, Fisher 1936, with shrinkage). A margin is the difference of
    the squared distances to the centres of the nearest other person and of its own person without the picture, over
    their sum: from -1 to 1, and below 0 when another person is nearer. NaN for a person's only picture and where there
    is one person alone.
    """
    count = int(people.max()) + 1 if len(people) else 0
    sizes = np.bincount(people, minlength=count).astype(np.float32)
    if count < 2:
        return np.full(len(people), np.nan, dtype=np.float32)
    points = _spread_alike(embeddings, people, sizes)
    sums = np.zeros((count, points.shape[1]), dtype=np.float32)
    np.add.at(sums, people, points)
    centres = (sums / np.maximum(sizes, 1)[:, None]).astype(np.float32)
    own_size = sizes[people]
    with np.errstate(divide="ignore", invalid="ignore"):
        others = (sums[people] - points) / (own_size - 1)[:, None]
        own = ((points - others) ** 2).sum(axis=1)
    nearest = _nearest_other(points, centres, people)
    margins: Floats = ((nearest - own) / (nearest + own)).astype(np.float32)
    margins[own_size < 2] = np.nan
    return margins


def _band(bits: NDArray[np.uint64], band: int) -> NDArray[np.uint64]:
    edges = np.linspace(0, 64, _BANDS + 1).astype(int)
    low, width = edges[band], edges[band + 1] - edges[band]
    return (bits >> np.uint64(low)) & np.uint64((1 << width) - 1)


def _within_band(bits: NDArray[np.uint64], band: NDArray[np.uint64], embeddings: Floats) -> NDArray[np.int64]:
    """Pairs (M, 2) among pictures of the same value of `band`: each with those after it in its bucket."""
    found, step = [np.empty((0, 2), dtype=np.int64)], 1
    if not len(band):
        return found[0]
    order = np.argsort(band, kind="stable")
    starts = np.flatnonzero(np.r_[True, band[order][1:] != band[order][:-1]])
    stops = np.r_[starts[1:], len(order)]
    ends = np.repeat(stops, stops - starts)
    places = np.arange(len(order))
    while len(places := places[places + step < ends[places]]):
        for at in range(0, len(places), _AT_ONCE):
            one, other = order[places[at : at + _AT_ONCE]], order[places[at : at + _AT_ONCE] + step]
            close = np.bitwise_count(bits[one] ^ bits[other]) <= HASH_BITS
            one, other = one[close], other[close]
            alike = ((embeddings[one] - embeddings[other]) ** 2).sum(axis=1) <= LOOK**2
            found.append(np.sort(np.stack([one[alike], other[alike]], axis=1), axis=1))
        step += 1
    return np.concatenate(found)


def _spread_alike(embeddings: Floats, people: Indices, sizes: Floats) -> Floats:
    sums = np.zeros((len(sizes), embeddings.shape[1]), dtype=np.float64)
    np.add.at(sums, people, embeddings.astype(np.float64))
    inner = embeddings - (sums / np.maximum(sizes, 1)[:, None])[people]
    scatter = inner.T @ inner / max(1, len(people) - len(sizes))
    average = np.trace(scatter) / len(scatter)
    scatter = (1 - _SHRINKAGE) * scatter + _SHRINKAGE * max(average, 1e-12) * np.eye(len(scatter))
    values, vectors = np.linalg.eigh(scatter)
    turned: Floats = (embeddings @ (vectors / np.sqrt(values))).astype(np.float32)
    return turned


def _nearest_other(points: Floats, centres: Floats, people: Indices) -> Floats:
    nearest = np.empty(len(points), dtype=np.float32)
    lengths = (centres**2).sum(axis=1)
    rows = max(1, _AT_ONCE // len(centres))
    for at in range(0, len(points), rows):
        chunk = points[at : at + rows]
        distances = (chunk**2).sum(axis=1)[:, None] + lengths - 2 * chunk @ centres.T
        distances[np.arange(len(chunk)), people[at : at + rows]] = np.inf
        nearest[at : at + rows] = np.maximum(distances.min(axis=1), 0)
    return nearest
