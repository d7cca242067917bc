"""From a unit's name to a number that is the same everywhere and always.

Variants: GrowthBook's hash (FNV-1a, 32 bits), so that any GrowthBook SDK assigns alike. It reads UTF-16 code units,
as the JavaScript SDK does; the Python SDK reads code points, which differs for characters beyond U+FFFF.

Layers and holdouts: a 64-bit hash over UTF-8, so that layers are independent of each other and of the variants.
h = key; for every 8 bytes (little-endian, zero-padded): h = mix(h ^ word); h = mix(h ^ length in bytes); where key is
the 8-byte BLAKE2b digest of the layer's name and mix the finaliser of splitmix64. Its upper 53 bits are the position.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError

Words = NDArray[np.uint64]

FNV_OFFSET, FNV_PRIME, MASK_32 = 0x811C9DC5, 0x01000193, 0xFFFFFFFF
MASK_64 = 0xFFFFFFFFFFFFFFFF
MIX_1, MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
BUCKETS = {1: 1000, 2: 10_000}
# Small enough for the working arrays of a block to stay in the processor's cache.
BLOCK = 1 << 15


def fnv1a32(text: str, state: int = FNV_OFFSET) -> int:
    """FNV-1a over the UTF-16 code units of `text`, going on from `state`."""
    for unit in _code_units(text):
        state = ((state ^ unit) * FNV_PRIME) & MASK_32
    return state


def bucket(seed: str, value: str, version: int = 2) -> float | None:
    """GrowthBook's hash of `value`: a number in [0, 1) with 10,000 steps (version 2) or 1,000 (version 1, legacy).

    None for other versions: units that an unknown hash would place are in no experiment.
    """
    if version == 2:
        return fnv1a32(str(fnv1a32(value, fnv1a32(seed)))) % 10_000 / 10_000
    if version == 1:
        return fnv1a32(seed, fnv1a32(value)) % 1000 / 1000
    return None


def buckets(seed: str, values: Sequence[str] | NDArray[np.str_], version: int = 2) -> NDArray[np.float64] | None:
    """`bucket` for many values at once: float64 (n,)."""
    if version not in BUCKETS:
        return None
    hashed = _fnv_of_all(values, fnv1a32(seed) if version == 2 else FNV_OFFSET)
    if version == 2:
        hashed = _fnv_of_decimals(hashed)
    else:
        for unit in _code_units(seed):
            hashed = (hashed ^ np.uint32(unit)) * np.uint32(FNV_PRIME)
    return (hashed % BUCKETS[version]) / BUCKETS[version]


def position(layer: str, unit: str) -> float:
    """Where `unit` lies in `layer`: a number in [0, 1) with 2^53 steps."""
    return position_with_key(layer_key(layer), unit)


def layer_key(layer: str) -> int:
    """The 64-bit key of a layer's name."""
    return int.from_bytes(hashlib.blake2b(layer.encode(), digest_size=8).digest(), "little")


def position_with_key(key: int, unit: str) -> float:
    """`position` for a key that is at hand."""
    data = unit.encode(errors="surrogatepass")
    state = key
    padded = data + b"\0" * (-len(data) % 8)
    for word in struct.unpack(f"<{len(padded) // 8}Q", padded):
        state = _mix(state ^ word)
    return (_mix(state ^ len(data)) >> 11) / (1 << 53)


def positions(layer: str, units: Sequence[str] | NDArray[np.str_]) -> NDArray[np.float64]:
    """`position` for many units at once: float64 (n,)."""
    data, offsets = _utf8(units)
    result = np.empty(offsets.size - 1)
    key = np.uint64(layer_key(layer))
    for rows, length in _by_length(offsets):
        block = np.zeros((rows.size, -(-length // 8) * 8), dtype=np.uint8)
        block[:, :length] = _bytes_of(data, offsets, rows, length)
        state = np.full(rows.size, key)
        for word in np.ascontiguousarray(block.view("<u8").T):
            state = _mixed(state ^ word)
        result[rows] = (_mixed(state ^ np.uint64(length)) >> np.uint64(11)) / float(1 << 53)
    return result


def _mix(state: int) -> int:
    state = ((state ^ (state >> 30)) * MIX_1) & MASK_64
    state = ((state ^ (state >> 27)) * MIX_2) & MASK_64
    return state ^ (state >> 31)


def _mixed(state: Words) -> Words:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(MIX_1)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(MIX_2)
    return state ^ (state >> np.uint64(31))


def _code_units(text: str) -> Sequence[int]:
    if text.isascii():
        return text.encode()
    data = text.encode("utf-16-le", "surrogatepass")
    return struct.unpack(f"<{len(data) // 2}H", data)


def _fnv_of_all(values: Sequence[str] | NDArray[np.str_], state: int) -> NDArray[np.uint32]:
    data, offsets = _utf8(values)
    hashed = np.empty(offsets.size - 1, dtype=np.uint32)
    if data.size and data.max() > 127:
        for row, value in enumerate(values):
            hashed[row] = fnv1a32(str(value), state)
        return hashed
    prime = np.uint32(FNV_PRIME)
    for rows, length in _by_length(offsets):
        columns = np.ascontiguousarray(_bytes_of(data, offsets, rows, length).T)
        current = np.full(rows.size, state, dtype=np.uint32)
        for column in columns:
            np.bitwise_xor(current, column, out=current)
            np.multiply(current, prime, out=current)
        hashed[rows] = current
    return hashed


def _fnv_of_decimals(numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """FNV-1a of the decimal digits of each number, without leading zeros."""
    hashed = np.empty_like(numbers)
    prime, zero = np.uint32(FNV_PRIME), np.uint32(ord("0"))
    for start in range(0, numbers.size, BLOCK):
        block = numbers[start : start + BLOCK]
        state = np.full(block.size, FNV_OFFSET, dtype=np.uint32)
        for place in range(9, -1, -1):
            power = np.uint32(10**place)
            quotient = block // power
            following = (state ^ (quotient % np.uint32(10) + zero)) * prime
            state = following if place == 0 else np.where(quotient > 0, following, state)
        hashed[start : start + BLOCK] = state
    return hashed


def _utf8(values: Sequence[str] | NDArray[np.str_]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All texts as one array of UTF-8 bytes, and where each begins."""
    import pyarrow as pa  # a gateway assigns single units and need not load it

    try:
        texts = pa.array(values, type=pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, UnicodeError) as error:
        raise BadInputError("units are not texts", got=str(error), allowed="a list of texts") from error
    if texts.null_count:
        raise BadInputError("units are missing", got=f"{texts.null_count} of {len(texts)} empty")
    _, begin, content = texts.buffers()
    offsets = np.frombuffer(begin, dtype=np.int64, count=len(texts) + 1) if len(texts) else np.zeros(1, dtype=np.int64)
    data = np.frombuffer(content, dtype=np.uint8) if content is not None else np.zeros(0, dtype=np.uint8)
    return data[: offsets[-1]], offsets


def _by_length(offsets: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Blocks of rows whose texts have one length."""
    lengths = np.diff(offsets)
    order = np.argsort(lengths, kind="stable")
    ends = np.flatnonzero(np.diff(lengths[order], append=-1)) + 1
    start = 0
    for end in ends.tolist():
        for at in range(start, end, BLOCK):
            yield order[at : min(at + BLOCK, end)], int(lengths[order[start]])
        start = end


def _bytes_of(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], rows: NDArray[np.int64], length: int
) -> NDArray[np.uint8]:
    """The bytes of the texts of `rows`, all of `length`: (rows, length)."""
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == rows.size and offsets[last + 1] - offsets[first] == rows.size * length:
        return data[offsets[first] : offsets[last + 1]].reshape((rows.size, length))
    return np.asarray(data[offsets[rows][:, None] + np.arange(length)])
