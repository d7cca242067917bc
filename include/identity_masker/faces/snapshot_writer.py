"""Writes accepted faces into a folder: shards, manifest, descriptors, labels."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from identity_masker.faces.dataset_config import DatasetConfig
from identity_masker.faces.descriptors import describe
from identity_masker.faces.face_set import FACTORS, LANDMARKS
from identity_masker.faces.prepare import Prepared
from identity_masker.faces.readers.source import Labels
from identity_masker.faces.schema import (
    DESCRIPTOR_COLUMNS,
    DESCRIPTOR_TABLE,
    LABEL_COLUMNS,
    LABELS,
    MANIFEST,
    MANIFEST_COLUMNS,
    SCHEMA_VERSION,
)
from identity_masker.faces.shards import ShardWriter
from identity_masker.faces.splits import SPLITS, deal, natural

_DESCRIBE_AT_ONCE = 256


class Written(BaseModel):
    """What was written. `snapshot` is the hash of the content: names, people, splits, pixels and labels."""

    model_config = ConfigDict(frozen=True)

    snapshot: str
    images: int
    people: int
    split_images: dict[str, int]
    split_people: dict[str, int]
    placed: dict[str, str]


class SnapshotWriter:
    """Takes faces one after another, in bounded memory apart from their rows, and writes the tables at the end."""

    def __init__(self, folder: Path, config: DatasetConfig) -> None:
        self._folder = folder
        self._config = config
        self._shards = ShardWriter(folder, config.size, config.shard_images)
        self._rows: list[dict[str, Any]] = []
        self._labels: list[Labels | None] = []
        self._waiting: list[Prepared] = []
        self._described: list[pa.Table] = []

    def add(self, face: Prepared) -> None:
        # The bucket is where the hash puts the person; the few who are moved later stay in that shard.
        place = self._shards.add(natural(face.identity, self._config.splits), face.pixels)
        row = {name: getattr(face, name) for name in MANIFEST_COLUMNS.names if hasattr(face, name)}
        self._rows.append({**row, "split": "", "shard": place.shard, "row": place.row})
        self._labels.append(face.labels)
        self._waiting.append(face)
        if len(self._waiting) == _DESCRIBE_AT_ONCE:
            self._describe()

    def people(self) -> set[str]:
        return {row["identity"] for row in self._rows}

    def finish(self, placed_before: Mapping[str, str]) -> Written:
        """Deal the people to splits and write the tables; at least one face must have been added."""
        self._shards.close()
        self._describe()
        dealt = deal(self.people(), self._config.splits, placed_before)
        for row in self._rows:
            row["split"] = dealt.splits[row["identity"]]
        manifest = pa.Table.from_pylist(self._rows, MANIFEST_COLUMNS).sort_by("name")
        pq.write_table(manifest, self._folder / MANIFEST)
        pq.write_table(pa.concat_tables(self._described).sort_by("name"), self._folder / DESCRIPTOR_TABLE)
        labels = self._label_table()
        if labels is not None:
            pq.write_table(labels, self._folder / LABELS)
        images, people = Counter(row["split"] for row in self._rows), Counter(dealt.splits.values())
        return Written(
            snapshot=_content_hash(manifest, labels, self._config.size),
            images=len(manifest),
            people=len(dealt.splits),
            split_images={name: images[name] for name in SPLITS},
            split_people={name: people[name] for name in SPLITS},
            placed=dealt.placed,
        )

    def _describe(self) -> None:
        if not self._waiting:
            return
        columns = describe(np.stack([face.pixels for face in self._waiting]))
        names = [face.name for face in self._waiting]
        self._described.append(pa.table({"name": names, **columns}, DESCRIPTOR_COLUMNS))
        self._waiting = []

    def _label_table(self) -> pa.Table | None:
        """Labels by name, NaN where a face has none; None when no face has any."""
        if not any(self._labels):
            return None
        nothing = Labels()
        labels = [label or nothing for label in self._labels]
        no_factors = np.full(len(FACTORS), np.nan, dtype=np.float32)
        no_points = np.full((LANDMARKS, 2), np.nan, dtype=np.float32)
        factors = np.stack([no_factors if label.factors is None else label.factors for label in labels])
        points = np.stack([no_points if label.landmarks is None else label.landmarks for label in labels])
        values = np.concatenate([factors, points.reshape(len(labels), -1)], axis=1)
        names = [row["name"] for row in self._rows]
        return pa.table([pa.array(names), *map(pa.array, values.T)], schema=LABEL_COLUMNS).sort_by("name")


def _content_hash(manifest: pa.Table, labels: pa.Table | None, size: int) -> str:
    """SHA-256 over what the snapshot holds, free of how its files are laid out or compressed."""
    digest = hashlib.sha256(json.dumps({"schema": SCHEMA_VERSION, "size": size}).encode())
    columns = [manifest[name].to_pylist() for name in ("name", "identity", "split", "content_hash", "image_hash")]
    for row in zip(*columns, strict=True):
        digest.update("\0".join(row).encode() + b"\n")
    if labels is not None:
        for name in LABEL_COLUMNS.names[1:]:
            digest.update(labels[name].to_numpy().astype("<f4").tobytes())
    return digest.hexdigest()
