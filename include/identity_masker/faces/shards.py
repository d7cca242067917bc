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

_NAME = 20
"""Letters of a shard's checksum in its name."""


class Place(NamedTuple):
    """Where an image lies: the shard's path in the snapshot, and the row in it."""

    shard: str
    row: int


class ShardWriter:
    """Writes squares of one size into shards, a series of them for each bucket.

    A bucket is a split: reading one split touches only its own shards. A shard is named by its content, so that
    shards which were written apart from one another can lie in one folder.
    """

    def __init__(self, folder: Path, size: int, images_a_shard: int) -> None:
        self._folder = folder
        self._size = size
        self._full = images_a_shard
        self._open: dict[str, list[tuple[int, bytes]]] = {}
        self._places: dict[int, Place] = {}
        self._added = 0
        (folder / SHARDS).mkdir(parents=True, exist_ok=True)

    def add(self, bucket: str, pixels: NDArray[np.uint8]) -> None:
        """Append one image; it is on disk once its shard is full or `close` was called."""
        waiting = self._open.setdefault(bucket, [])
        waiting.append((self._added, pixels.tobytes()))
        self._added += 1
        if len(waiting) == self._full:
            self._write(bucket)

    def close(self) -> list[Place]:
        """Write what is left; the places of all images in the order in which they were added."""
        for bucket in sorted(self._open):
            self._write(bucket)
        return [self._places[number] for number in range(self._added)]

    def _write(self, bucket: str) -> None:
        waiting = self._open.pop(bucket)
        path = write_shard(self._folder, bucket, [image for _, image in waiting], self._size)
        self._places |= {number: Place(path, row) for row, (number, _) in enumerate(waiting)}


def write_shard(folder: Path, bucket: str, images: list[bytes], size: int) -> str:
    """Write one shard of raw squares into `folder`; its path there."""
    table = pa.table({"image": pa.array(images, pa.binary(size * size * 3))})
    out = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata({"size": str(size)}), out, compression="zstd", use_dictionary=False,
        write_statistics=False,
    )  # fmt: skip
    content = out.getvalue()
    path = f"{SHARDS}/{bucket}-{hashlib.sha256(content).hexdigest()[:_NAME]}.parquet"
    (folder / path).write_bytes(content)
    return path


def without(folder: Path, shard: str, rows: list[int], size: int) -> str | None:
    """Put a shard of only `rows`, in this order, in the place of `shard`; its path, None when no row is left."""
    column = pq.read_table(folder / shard)["image"]
    (folder / shard).unlink()
    if not rows:
        return None
    bucket = Path(shard).name.rpartition("-")[0]
    return write_shard(folder, bucket, column.take(pa.array(rows)).to_pylist(), size)


def images_in(path: Path) -> int:
    """How many images the shard at `path` holds."""
    rows: int = pq.read_metadata(path).num_rows
    return rows


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
