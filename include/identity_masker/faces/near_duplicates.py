"""Pictures that look alike although their pixels differ: found by perceptual hashes, without comparing all with all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEAR = 3
"""Bits that the hashes of two near duplicates differ in at most: a picture saved again or scaled differs in 0 to 2."""

_BANDS, _BITS = 4, 16


def near_pairs(hashes: NDArray[np.int64], bits: int = NEAR) -> NDArray[np.int64]:
    """Pairs of rows (P, 2), first < second, whose `hashes` (N,) differ in at most `bits` of 0 to 3 bits.

    Two hashes that differ in at most 3 bits agree in one of four bands of 16 bits (Norouzi et al. 2012, multi-index
    hashing), so only rows that share a band are compared. Rows whose hash is 0 say nothing and are left out: they are
    plain areas.

    Raises ValueError for other `bits`.
    """
    if not 0 <= bits < _BANDS:
        raise ValueError(f"bits must be 0 to {_BANDS - 1}, got {bits}")
    found = [_in_band(hashes, band, bits) for band in range(_BANDS)]
    return np.unique(np.concatenate(found), axis=0)


def _in_band(hashes: NDArray[np.int64], band: int, bits: int) -> NDArray[np.int64]:
    rows = np.flatnonzero(hashes)
    values = hashes[rows].view(np.uint64)
    keys = (values >> np.uint64(band * _BITS)).astype(np.uint16)
    order = np.argsort(keys, kind="stable")
    rows, values, keys = rows[order], values[order], keys[order]
    pairs = []
    # Row i against row i + step, for as long as any two so far apart share the band.
    for step in range(1, len(rows)):
        same = np.flatnonzero(keys[step:] == keys[:-step])
        if not len(same):
            break
        close = same[np.bitwise_count(values[same] ^ values[same + step]) <= bits]
        pairs.append(np.stack([rows[close], rows[close + step]], axis=1))
    together = np.concatenate(pairs) if pairs else np.empty((0, 2), dtype=np.int64)
    return np.sort(together, axis=1)
