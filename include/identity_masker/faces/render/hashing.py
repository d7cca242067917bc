"""Random numbers with random access: a pure function of (seed, stream, index, position), no state.

Every number comes from the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
generators, 2014), so that any image can be drawn alone and equals the same image of a batch.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1

Words = NDArray[np.uint64]


def scramble(words: Words) -> Words:
    """The finaliser of SplitMix64, a bijection on 64 bits."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def row_keys(seed: int, stream: int, *indices: NDArray[np.int64]) -> Words:
    """One 64-bit key a row; `indices` are aligned arrays of shape (N,)."""
    start = (seed * GOLDEN + stream * 0xD1B54A32D192ED03) & MASK
    keys = scramble(np.full(len(indices[0]), start, np.uint64))
    for index in indices:
        keys = scramble(keys ^ scramble(index.astype(np.uint64) * np.uint64(GOLDEN) + np.uint64(1)))
    return keys


def uniform(keys: Words, count: int) -> NDArray[np.float32]:
    """(N, count) numbers in [0, 1), multiples of 2⁻²⁴."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN)
    words = scramble(keys[:, None] + steps[None, :]) >> np.uint64(40)
    return words.astype(np.float32) * np.float32(2.0**-24)


def grain(keys: Words, count: int) -> NDArray[np.float32]:
    """(N, count) numbers close to standard normal: the sum of the four bytes of a 32-bit hash, standardised.

    Integer arithmetic up to the last step keeps it equal on every machine.
    """
    words = np.arange(count, dtype=np.uint32)[None, :] * np.uint32(0x9E3779B1) + keys.astype(np.uint32)[:, None]
    words ^= words >> np.uint32(16)
    words *= np.uint32(0x21F0AAAD)
    words ^= words >> np.uint32(15)
    words *= np.uint32(0x735A2D97)
    words ^= words >> np.uint32(15)
    total = words.view(np.uint8).reshape(*words.shape, 4)
    summed = total[..., 0].astype(np.int16) + total[..., 1] + total[..., 2] + total[..., 3]
    return (summed - np.int16(510)).astype(np.float32) * np.float32(1 / 147.8)


def grain_on_device(keys: Tensor, count: int) -> Tensor:
    """`grain` for int32 keys (N,) on any device: signed words wrap around, and their right shifts are masked."""
    # `| 0` keeps torch.compile from multiplying inside its index arithmetic, where the factor overflows (torch 2.11,
    # Triton: "Scalar … is out of range for type int32").
    places = torch.arange(count, dtype=torch.int32, device=keys.device) | 0
    words = places[None, :] * _signed(0x9E3779B1) + keys[:, None]
    words = words ^ ((words >> 16) & 0xFFFF)
    words = words * 0x21F0AAAD
    words = words ^ ((words >> 15) & 0x1FFFF)
    words = words * 0x735A2D97
    words = words ^ ((words >> 15) & 0x1FFFF)
    total = (words & 255) + ((words >> 8) & 255) + ((words >> 16) & 255) + ((words >> 24) & 255)
    return (total - 510).to(torch.float32) * (1 / 147.8)


def _signed(word: int) -> int:
    return word - (1 << 32)
