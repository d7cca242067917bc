"""Decode, normalise, hash, describe and shard, beside decoding alone with the same library on as many threads."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
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
            decoding = [_cost(_decode, photos, workers) for _ in range(repeats)]
            reading = [_cost(_read, photos, Path(folder) / f"{name}-{at}", workers) for at in range(repeats)]
            costs = [_Cost(*map(min, zip(*costs, strict=True))) for costs in (decoding, reading)]
            rates = (f"{images / cost.wall:,.0f}" for cost in costs)
            shares = (f"{costs[0].wall / costs[1].wall:.0%}", f"{costs[0].cpu / costs[1].cpu:.0%}")
            rows.append((name, *rates, *shares, f"{costs[1].cpu / images * 1e3:.2f}"))
    columns = ("source", "decode only, images/s", "decode + describe + shard", "share", "share by CPU time", "CPU ms")
    show(columns, rows)


def _cost(work: Callable[..., None], *arguments: object) -> _Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    work(*arguments)
    return _Cost(time.perf_counter() - wall, time.process_time() - cpu)


def _decode(photos: Path, workers: int) -> None:
    paths = sorted(photos.rglob("*.jpg"))
    chunks = (paths[at : at + _CHUNK] for at in range(0, len(paths), _CHUNK))

    def decode(chunk: list[Path]) -> int:
        total = 0
        for path in chunk:
            with Image.open(path) as image:
                total += np.asarray(image.convert("RGB")).shape[0]
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
