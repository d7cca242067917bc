"""Decode, normalise, hash, describe and shard, beside decoding alone with the same library on as many threads.

Two limits: files into arrays, which is what a program gets that decodes with Pillow, and files into Pillow's memory,
which leaves the pixels where only Pillow reaches them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks.ingest.photos import saved, show
from PIL import Image

from identity_masker.faces.block import read_block
from identity_masker.faces.dataset_config import DatasetConfig
from identity_masker.faces.plan import BLOCK
from identity_masker.faces.readers import FolderReader
from identity_masker.faces.readers.workers import in_order

SIZES = {"CelebA, 178 × 218": (178, 218), "LFW, 250 × 250": (250, 250), "512 × 512": (512, 512)}
COLUMNS = (
    "source", "decode to memory, images/s", "decode to array", "decode + describe + shard", "share of array",
    "share of memory", "by CPU: share of array", "share of memory", "CPU ms",
)  # fmt: skip
_CHUNK = 64


class _Cost(NamedTuple):
    """Seconds by the clock, and of the cores; on a busy machine only the latter mean something."""

    wall: float
    cpu: float


def run(images: int, repeats: int) -> None:
    workers = len(os.sched_getaffinity(0))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, size in SIZES.items():
            photos = saved(Path(folder) / name, images, size)
            works = [partial(_decode, photos, workers, to_array=to_array) for to_array in (False, True)]
            works.append(partial(_read, photos, Path(folder) / "read", workers))
            # In turns, so that what else the machine does falls on all of them.
            costs = zip(*([_cost(work) for work in works] for _ in range(repeats)), strict=True)
            loading, decoding, reading = (_Cost(*map(min, zip(*each, strict=True))) for each in costs)
            rates = (f"{images / cost.wall:,.0f}" for cost in (loading, decoding, reading))
            shares = (f"{limit.wall / reading.wall:.0%}" for limit in (decoding, loading))
            by_cpu = (f"{limit.cpu / reading.cpu:.0%}" for limit in (decoding, loading))
            rows.append((name, *rates, *shares, *by_cpu, f"{reading.cpu / images * 1e3:.2f}"))
    show(COLUMNS, rows)


def _cost(work: Callable[[], None]) -> _Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return _Cost(time.perf_counter() - wall, time.process_time() - cpu)


def _decode(photos: Path, workers: int, *, to_array: bool) -> None:
    paths = sorted(photos.rglob("*.jpg"))
    chunks = (paths[at : at + _CHUNK] for at in range(0, len(paths), _CHUNK))

    def decode(chunk: list[Path]) -> int:
        total = 0
        for path in chunk:
            with Image.open(path, formats=["JPEG"]) as image:
                image.load()
                total += np.asarray(image).shape[0] if to_array else image.height
        return total

    for _ in in_order(decode, chunks, workers):
        pass


def _read(photos: Path, target: Path, workers: int) -> None:
    config = DatasetConfig(name="speed", reader=FolderReader(path=photos))
    listed = list(config.reader.listing())
    for at in range(0, len(listed), BLOCK):
        folder = target / str(at)
        folder.mkdir(parents=True)
        read_block(config, listed[at : at + BLOCK], folder, workers)
    shutil.rmtree(target)
