"""Images in shards: a few hundred to a Parquet file, as raw RGB compressed without loss.

A million images are a few thousand files, and reading them costs a fraction of decoding pictures.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from identity_masker.errors import BadInputError
from identity_masker.faces.schema import SHARDS


class Place(NamedTuple):
    """Where an image lies: the shard's path in the snapshot, and the row in it."""

    shard: str
    row: int


class ShardWriter:
    """Writes squares of one size into numbered shards, a series of them for each bucket.

    A bucket is a split: reading one split touches only its own shards.
    """

    def __init__(self, folder: Path, size: int, images_a_shard: int) -> None:
        self._folder = folder
        self._size = size
        self._full = images_a_shard
        self._open: dict[str, list[bytes]] = {}
        self._written: dict[str, int] = {}
        (folder / SHARDS).mkdir(parents=True, exist_ok=True)

    def add(self, bucket: str, pixels: NDArray[np.uint8]) -> Place:
        """Append one image; it is on disk once its shard is full or `close` was called."""
        waiting = self._open.setdefault(bucket, [])
        waiting.append(pixels.tobytes())
        place = Place(self._path(bucket), len(waiting) - 1)
        if len(waiting) == self._full:
            self._write(bucket)
        return place

    def close(self) -> None:
        for bucket in sorted(self._open):
            self._write(bucket)

    def _path(self, bucket: str) -> str:
        return f"{SHARDS}/{bucket}-{self._written.get(bucket, 0):05d}.parquet"

    def _write(self, bucket: str) -> None:
        images = self._open.pop(bucket)
        kind = pa.binary(self._size * self._size * 3)
        table = pa.table({"image": pa.array(images, kind)}).replace_schema_metadata({"size": str(self._size)})
        pq.write_table(table, self._folder / self._path(bucket), compression="zstd", use_dictionary=False)
        self._written[bucket] = self._written.get(bucket, 0) + 1


def read_shard(path: Path, sha256: str, size: int) -> NDArray[np.uint8]:
    """All images of a shard, (N, size, size, 3), after its checksum was compared.

    Raises `BadInputError` for a shard that is not the one that was written.
    """
    content = path.read_bytes()
    check(path, content, sha256)
    column = pq.read_table(pa.BufferReader(content))["image"].combine_chunks()
    pixels = np.frombuffer(column.buffers()[1], dtype=np.uint8)
    return pixels.reshape(-1, size, size, 3)[column.offset : column.offset + len(column)]


def check(path: Path, content: bytes, sha256: str) -> None:
    """Raise `BadInputError` unless `content`, read from `path`, has the checksum `sha256`."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise BadInputError(
            "a file of the dataset is damaged",
            got=f"{path} with checksum {found[:12]}…",
            allowed=f"checksum {sha256[:12]}…",
            fix="delete the folder data in MASKER_HOME and run again: it is fetched anew from the store",
        )
