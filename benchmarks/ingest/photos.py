"""Pictures for the benchmarks, and a table to print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from identity_masker.faces import render

PEOPLE = 100
_AT_ONCE = 128


def drawn(count: int, size: int) -> Iterator[NDArray[np.uint8]]:
    """Pictures (size, size, 3) of `PEOPLE` people with the grain of a camera."""
    for start in range(0, count, _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, count))
        faces = render.draw(1, rows % PEOPLE, rows // PEOPLE, 128).images
        for row, face in zip(rows, faces, strict=True):
            large = np.asarray(Image.fromarray(face).resize((size, size), Image.Resampling.BICUBIC))
            yield (large + np.roll(_grain(size), row * 31)).clip(0, 255).astype(np.uint8)


@cache
def _grain(size: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 4, (size, size, 3)).astype(np.float32)


def saved(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """A folder of `count` JPEGs of `size` (width, height), one sub-folder a person."""
    for row, pixels in enumerate(drawn(count, max(size))):
        path = folder / f"person-{row % PEOPLE:03d}" / f"{row // PEOPLE:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).crop((0, 0, *size)).save(path, quality=90)
    return folder


def noise(folder: Path, start: int, count: int) -> None:
    """Small pictures numbered from `start`, each different, for when only their number matters."""
    for row in range(start, start + count):
        path = folder / f"person-{row % 1000:04d}" / f"{row:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks = np.random.default_rng(row).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((64, 64), Image.Resampling.BILINEAR).save(path, quality=80)


def show(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table in Markdown."""
    for row in (columns, ["---"] * len(columns), *rows):
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
