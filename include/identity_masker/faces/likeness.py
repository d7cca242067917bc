"""Which pictures are alike."""

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
