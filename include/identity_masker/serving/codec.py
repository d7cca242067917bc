"""Decodes and encodes pictures beside the event loop: in threads, or at once where the way there costs as much."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from identity_masker.faces.decode import Limits, decode
from identity_masker.faces.formats import READABLE, format_of, header_size
from identity_masker.serving import pictures

THREADS = 2
SMALL_PIXELS = 96 * 96
"""A picture of so many pixels is decoded or encoded within half a millisecond: handing it to a thread and waking the
event loop again costs about as much."""

SMALL_BYTES = 64 << 10
Pixels = NDArray[np.uint8]


class Decoded(NamedTuple):
    """Pixels (H, W, 3), and the format that they came in."""

    pixels: Pixels
    format: str


class Codec:
    """A few threads for what is large."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="codec")

    async def decode(self, content: bytes) -> Decoded:
        """Raises `UndecodableError`."""
        if _small(content):
            return self.decode_here(content)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.decode_here, content)

    def decode_here(self, content: bytes) -> Decoded:
        """As `decode`, in the calling thread."""
        return Decoded(decode(content, self.limits), format_of(content) or "PNG")

    async def encode(self, pixels: Pixels, name: str) -> bytes:
        """The picture as a file of format `name`."""
        # WebP takes ten times as long as JPEG.
        if pixels.size <= 3 * SMALL_PIXELS and name != "WEBP":
            return pictures.encode(pixels, name)
        return await asyncio.get_running_loop().run_in_executor(self._threads, pictures.encode, pixels, name)

    def close(self) -> None:
        self._threads.shutdown(wait=False)


def _small(content: bytes) -> bool:
    """Whether the header says so; of what has none, the decoder tells at once."""
    return len(content) <= SMALL_BYTES and (stated_pixels(content) or 0) <= SMALL_PIXELS


def stated_pixels(content: bytes) -> int | None:
    """Width times height as the header says; None where there is no header of a format that is read."""
    name = format_of(content)
    try:
        size = header_size(content, name) if name in READABLE else None
    except ValueError:
        return None
    return None if size is None else size[0] * size[1]
