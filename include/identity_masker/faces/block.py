"""A block of inputs: what one piece of work reads, and leaves behind as finished shards and a table of outcomes.

Blocks are independent of one another, so a source can be read by any number of machines, and a killed ingestion
goes on with the blocks that are not there yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from identity_masker.faces.anchors import of_landmarks
from identity_masker.faces.dataset_config import DatasetConfig
from identity_masker.faces.descriptors import describe_all, perceptual_hash
from identity_masker.faces.face_set import FACTORS, LANDMARKS
from identity_masker.faces.prepare import Prepared, Refused, prepare
from identity_masker.faces.readers.source import FaceInput, Labels, Listed
from identity_masker.faces.readers.workers import in_order
from identity_masker.faces.schema import DESCRIPTOR_COLUMNS, EMBEDDING_COLUMNS, LABEL_COLUMNS
from identity_masker.faces.shards import ShardWriter
from identity_masker.faces.splits import natural

ROWS = "rows.parquet"
_AT_ONCE = 64
"""Inputs that a worker takes at once: enough to describe them together, few enough to keep all workers busy."""

SOURCE_COLUMNS = pa.schema(
    [
        ("content_hash", pa.string()),
        ("image_hash", pa.string()),
        ("format", pa.string()),
        ("source_bytes", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
    ]
)
_REST = [*list(DESCRIPTOR_COLUMNS)[1:], *list(EMBEDDING_COLUMNS)[1:], *list(LABEL_COLUMNS)[1:]]
ROW_COLUMNS = pa.schema(
    [
        ("name", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        *SOURCE_COLUMNS,
        ("shard", pa.string()),
        ("row", pa.int32()),
        *_REST,
        ("attributes", pa.string()),
    ]
)
"""One row an input. A refused one has a `reason`; one with person and pixels of an earlier one has no `shard`."""


class _Worked(NamedTuple):
    """What a worker made of some inputs; `columns` are of the usable ones."""

    usable: list[Prepared]
    refused: list[Refused]
    columns: list[pa.Array]


def read_block(config: DatasetConfig, listed: Sequence[Listed], folder: Path, workers: int) -> None:
    """Read the inputs `listed` and leave `rows.parquet` and shards in `folder`."""
    shards = ShardWriter(folder, config.size, config.shard_images)
    stored: list[pa.Table] = []
    others: list[dict[str, Any]] = []
    # A person may be forgotten, so a copy under another person's name keeps its own pixels until the merge.
    seen: set[tuple[str, str]] = set()
    for usable, refused, columns in _worked(config, listed, workers):
        others += [{"name": one.name, "reason": one.reason, "detail": one.detail} for one in refused]
        fresh = []
        for face in usable:
            picture = (face.identity, face.content_hash)
            fresh.append(picture not in seen)
            if fresh[-1]:
                seen.add(picture)
                shards.add(natural(face.identity, config.splits), face.pixels)
            else:
                others.append({"name": face.name, "content_hash": face.content_hash})
        if usable:
            stored.append(pa.table(columns, _STORED).filter(pa.array(fresh)))
    _write_rows(folder / ROWS, stored, others, shards)


def _write_rows(path: Path, stored: list[pa.Table], others: list[dict[str, Any]], shards: ShardWriter) -> None:
    places = shards.close()
    table = pa.concat_tables([_STORED.empty_table(), *stored])
    table = table.append_column("shard", pa.array([place.shard for place in places], pa.string()))
    table = table.append_column("row", pa.array([place.row for place in places], pa.int32()))
    rest = pa.Table.from_pylist(others, ROW_COLUMNS)
    pq.write_table(pa.concat_tables([table, rest], promote_options="default").select(ROW_COLUMNS.names), path)


def _worked(config: DatasetConfig, listed: Sequence[Listed], workers: int) -> Iterator[_Worked]:
    with config.reader.open(listed, workers) as inputs:
        chunks = iter(lambda: list(islice(inputs, _AT_ONCE)), [])
        yield from in_order(lambda chunk: _work(chunk, config), chunks, config.reader.threads(workers))


def _work(chunk: list[FaceInput], config: DatasetConfig) -> _Worked:
    outcomes = [prepare(source, config) for source in chunk]
    usable = [outcome for outcome in outcomes if isinstance(outcome, Prepared)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    return _Worked(usable, refused, _columns(usable) if usable else [])


_STORED = pa.schema([("name", pa.string()), *SOURCE_COLUMNS, *_REST, ("attributes", pa.string())])


def _columns(faces: list[Prepared]) -> list[pa.Array]:
    """The columns `_STORED` of `faces`."""
    images = np.stack([face.pixels for face in faces])
    anchors = np.stack([_anchors(face.labels) for face in faces])
    sides = np.array([face.side for face in faces], dtype=np.float32)
    described, embeddings = describe_all(images, anchors, sides)
    quality = np.array([face.jpeg_quality or np.nan for face in faces], dtype=np.float32)
    found: dict[str, NDArray[Any]] = {
        **described,
        "jpeg_quality": quality,
        "perceptual_hash": perceptual_hash(embeddings),
    }
    return [
        *(
            pa.array([getattr(face, field.name) for face in faces], field.type)
            for field in [_STORED[0], *SOURCE_COLUMNS]
        ),
        *(pa.array(found[name]) for name in DESCRIPTOR_COLUMNS.names[1:]),
        pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), embeddings.shape[1]),
        *map(pa.array, _label_values([face.labels for face in faces]).T),
        pa.array([_attributes(face.labels) for face in faces], pa.string()),
    ]


def _anchors(labels: Labels | None) -> NDArray[np.float32]:
    if labels is not None and labels.anchors is not None:
        return labels.anchors
    if labels is not None and labels.landmarks is not None:
        return of_landmarks(labels.landmarks)
    return np.full((5, 2), np.nan, dtype=np.float32)


def _label_values(labels: list[Labels | None]) -> NDArray[np.float32]:
    """Factors and landmarks, (N, 36), NaN where there are none."""
    values = np.full((len(labels), len(FACTORS) + 2 * LANDMARKS), np.nan, dtype=np.float32)
    for row, label in enumerate(labels):
        if label is not None and label.factors is not None:
            values[row, : len(FACTORS)] = label.factors
        if label is not None and label.landmarks is not None:
            values[row, len(FACTORS) :] = label.landmarks.ravel()
    return values


def _attributes(labels: Labels | None) -> str | None:
    return json.dumps(labels.attributes, sort_keys=True) if labels is not None and labels.attributes else None
