"""A dataset version opened for reading, on any machine that knows the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from identity_masker.errors import BadInputError, ConflictError
from identity_masker.faces.data_repository import DataRepository, Places
from identity_masker.faces.face_set import FACTORS, LANDMARKS, FaceSet
from identity_masker.faces.normalise import resized
from identity_masker.faces.schema import (
    ATTRIBUTES,
    DESCRIPTOR_TABLE,
    EMBEDDINGS,
    LABEL_COLUMNS,
    LABELS,
    MANIFEST,
    SCHEMA_VERSION,
)
from identity_masker.faces.shards import check, read_shard
from identity_masker.faces.splits import SPLITS
from identity_masker.faces.versions import VersionRecord, VersionStore
from identity_masker.settings import settings

if TYPE_CHECKING:
    import pandas as pd


class Snapshot:
    """The data of one version. Every file is compared with its checksum when it is read."""

    def __init__(self, record: VersionRecord, folder: Path) -> None:
        self.record = record
        self.folder = folder

    @property
    def version(self) -> str:
        """`NAME-SEMVER`."""
        return self.record.version

    @property
    def id(self) -> str:
        """The hash of the content."""
        return self.record.snapshot

    @property
    def size(self) -> int:
        """Side of the stored squares in pixels."""
        return self.record.size

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have images."""
        return tuple(name for name in SPLITS if self.record.counts.split_images[name])

    @cached_property
    def manifest(self) -> pd.DataFrame:
        """One row an image, in the order of names; columns as in `schema.MANIFEST_COLUMNS`."""
        table: pd.DataFrame = self.table(MANIFEST).to_pandas()
        return table

    @cached_property
    def descriptors(self) -> pd.DataFrame:
        """One row an image, in the order of the manifest; columns as in `schema.DESCRIPTOR_COLUMNS`."""
        table: pd.DataFrame = self.table(DESCRIPTOR_TABLE).to_pandas()
        return table

    @cached_property
    def embeddings(self) -> NDArray[np.float32]:
        """How each picture looks from afar, in the order of the manifest: (N, `descriptors.EMBEDDING`)."""
        column = self.table(EMBEDDINGS)["embedding"].combine_chunks()
        values: NDArray[np.float32] = column.flatten().to_numpy()
        return values.reshape(len(column), -1)

    @cached_property
    def attributes(self) -> pd.DataFrame | None:
        """What the source knows of each picture, one column each after `name`, in the order of the manifest.

        None when it knows nothing of any picture.
        """
        if ATTRIBUTES not in self.record.files:
            return None
        import pandas as pd

        table = self.table(ATTRIBUTES)
        rows = [json.loads(text) if text else {} for text in table["attributes"].to_pylist()]
        return pd.DataFrame([{"name": name, **row} for name, row in zip(table["name"].to_pylist(), rows, strict=True)])

    @cached_property
    def labels(self) -> pd.DataFrame | None:
        """One row an image, in the order of the manifest, NaN where it has none; None when no image has labels."""
        return self.table(LABELS).to_pandas() if LABELS in self.record.files else None

    def images(self, names: Sequence[str]) -> NDArray[np.uint8]:
        """The stored squares (M, size, size, 3) of the pictures called `names`, in that order."""
        places = self.manifest.set_index("name").loc[list(names), ["shard", "row"]].reset_index(drop=True)
        found = np.empty((len(places), self.size, self.size, 3), dtype=np.uint8)
        for shard, rows in places.groupby("shard"):
            stored = read_shard(self.folder / str(shard), self.record.files[str(shard)].sha256, self.size)
            found[rows.index.to_numpy()] = stored[rows["row"].to_numpy()]
        return found

    def load(self, split: str, size: int) -> FaceSet:
        """The faces of `split` at `size` pixels.

        Raises `BadInputError` for an unknown or empty split, or a size above the stored one.
        """
        self._check_request(split, size)
        rows = np.flatnonzero((self.manifest["split"] == split).to_numpy())
        chosen = self.manifest.iloc[rows]
        images = self.images(chosen["name"].tolist())
        factors, landmarks = self._labels_of(rows)
        identities = np.array(chosen["identity"].tolist(), dtype=np.str_)
        return FaceSet(resized(images, size), identities, factors, landmarks)

    def _check_request(self, split: str, size: int) -> None:
        if split not in self.splits:
            raise BadInputError(
                "the dataset has no such split", got=f"{split!r} of {self.version}", allowed=f"one of {self.splits}",
                fix="ingest more people",
            )  # fmt: skip
        if not 1 <= size <= self.size:
            raise BadInputError(
                "the dataset does not hold pictures of this size",
                got=f"{size} pixels of {self.version}",
                allowed=f"1 to {self.size} pixels",
                fix="use a smaller model, or raise `size` in the dataset's configuration and ingest again",
            )

    def _labels_of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
        if self.labels is None:
            return None, None
        values = self.labels[LABEL_COLUMNS.names[1:]].to_numpy(dtype=np.float32)[rows]
        factors, points = values[:, : len(FACTORS)], values[:, len(FACTORS) :]
        return (
            None if np.isnan(factors).all() else np.ascontiguousarray(factors),
            None if np.isnan(points).all() else np.ascontiguousarray(points).reshape(-1, LANDMARKS, 2),
        )

    def table(self, name: str) -> pa.Table:
        """A table of the snapshot, for instance `schema.MANIFEST`."""
        path = self.folder / name
        content = path.read_bytes()
        check(path, content, self.record.files[name].sha256)
        # The content lies in memory already: no need to copy what is to be read next.
        return pq.read_table(pa.BufferReader(content), pre_buffer=False)


def open_snapshot(version: str) -> Snapshot:
    """Open a validated version, `NAME-1.2.0` or `NAME-latest`; without `NAME-` of the dataset `rendered`.

    Its data are fetched from the store where they are not on this machine. A version that is not validated, or
    that failed, is refused, so that nothing downstream sees bad data. Raises `NotFoundError` for an unknown
    version, `ConflictError` for one that may not be used, `TemporaryError` when the store does not answer.
    """
    config = settings()
    return open_from(version, Places(config.home, config.store))


def open_from(version: str, places: Places, *, validated: bool = True) -> Snapshot:
    """As `open_snapshot`, from the given places, and of any state unless it must be `validated`."""
    store = VersionStore(places.store)
    record = store.record(version)
    if validated:
        _check_state(record, store)
    refuse_purged(record, store)
    if record.schema_version != SCHEMA_VERSION:
        raise BadInputError(
            "the dataset was written in another schema",
            got=f"{record.version} with schema {record.schema_version}",
            allowed=f"schema {SCHEMA_VERSION}",
            fix="ingest the source again",
        )
    return Snapshot(record, DataRepository(places).fetch(record))


def refuse_purged(record: VersionRecord, store: VersionStore) -> None:
    """Raise `ConflictError` when the data of the version were removed for good."""
    if store.state(record.name, record.semver) == "purged":
        raise ConflictError(
            "the data of this version were purged because a person asked to be forgotten",
            got=record.version,
            fix=f"use {record.name}-latest",
        )


def _check_state(record: VersionRecord, store: VersionStore) -> None:
    state = store.state(record.name, record.semver)
    if state == "pending":
        raise ConflictError(
            "the dataset version has not been validated",
            got=record.version,
            fix=f"run `masker data validate --dataset {record.version}`",
        )
    if state == "failed":
        report = store.validation(record.name, record.semver) or {}
        raise ConflictError(
            "the dataset version did not pass validation",
            got=f"{record.version}, failed rules {report.get('failed_rules')}",
            fix=f"correct the source and ingest again; see `masker data show {record.version}`",
        )
