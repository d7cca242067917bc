"""A table of pictures by URI, as Parquet or CSV: on a disk, or in an object store."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from identity_masker import artifacts
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.anchors import ANCHORS
from identity_masker.faces.decode import Limits, UndecodableError, check_bytes
from identity_masker.faces.readers.files import GONE, read_file, stamp
from identity_masker.faces.readers.source import FARTHEST, FaceInput, Labels, Listed, etag_of, pack, unpack

ENDINGS = (".parquet", ".csv")
URI, IDENTITY, NAME, ETAG = "uri", "identity", "name", "etag"
POINTS = tuple(f"{anchor}_{axis}" for anchor in ANCHORS for axis in "xy")
_ROWS_AT_ONCE = 8192
_DAMAGES = (pa.ArrowException, OSError, ValueError, OverflowError)
"""What Arrow raises for damage: its own errors, OSError without a number, those of values that Python cannot hold."""
_WAITING = 8
"""Threads to a core that wait for an object store."""


class ManifestReader(BaseModel):
    """One input a row. Columns:

    uri       of the picture: s3://…, file://…, or a path, relative to the manifest's folder
    identity  whose face it is; may be null
    name      of the input; default: `uri`
    etag      changes with the picture; default: what its disk or store says
    eye_left_x … mouth_right_y   five points in pixels, all ten columns or none

    All other columns become attributes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["manifest"] = "manifest"
    path: str = Field(default="", description="URI of the manifest; `--source` sets it.")
    images: int | None = Field(default=None, ge=1, description="Read so many files, chosen by a hash of their names.")

    def listing(self) -> Iterator[Listed]:
        etags = _Etags()
        folder = self.path.rpartition("/")[0] or "."
        for row in self._rows():
            yield _listed(row, folder, etags)

    @contextlib.contextmanager
    def open(self, listed: Sequence[Listed], workers: int) -> Iterator[Iterator[FaceInput]]:
        yield map(_opened, listed)

    def limited(self, images: int) -> Self:
        return self.model_copy(update={"images": images})

    def threads(self, workers: int) -> int:
        return workers * _WAITING

    def origin(self) -> str:
        return str(Path(self.path).absolute()) if artifacts.is_local(self.path) else self.path

    def _rows(self) -> Iterator[dict[str, Any]]:
        if not self.path or not artifacts.exists(self.path):
            raise NotFoundError(
                "the manifest does not exist", got=self.path or "no path", fix="pass it with --source FILE"
            )
        system, path = artifacts.split(self.path)
        try:
            with system.open(path, "rb") as file:
                if self.path.endswith(".csv"):
                    reader: Any = pyarrow.csv.open_csv(file, convert_options=_texts())
                    _check_columns(reader.schema.names, self.path)
                    batches = iter(reader)
                else:
                    parquet = pq.ParquetFile(file)
                    _check_columns(parquet.schema_arrow.names, self.path)
                    batches = parquet.iter_batches(_ROWS_AT_ONCE)
                for batch in batches:
                    yield from batch.to_pylist()
        except _DAMAGES as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # trouble of the disk or the store, not of the manifest
            raise BadInputError(
                "the manifest cannot be read",
                got=f"{self.path}: {str(error).partition(chr(10))[0]}",
                allowed="Parquet, or CSV in UTF-8 with a header and commas between its fields",
                fix="write it anew",
            ) from error


def _opened(one: Listed) -> FaceInput:
    facts = unpack(one.key)
    points = facts["anchors"]
    anchors = None if points is None else np.array(points, dtype=np.float32).reshape(-1, 2)
    labels = Labels(anchors=anchors, attributes=facts["attributes"])
    return FaceInput(one.name, one.identity, partial(_read, facts["uri"]), labels)


class _Etags:
    """What stores say of the files of one folder, asked once for all of them."""

    def __init__(self) -> None:
        self._folder: str | None = None
        self._found: dict[str, str] = {}

    def of(self, uri: str) -> str:
        if artifacts.is_local(uri):
            return stamp(Path(uri.removeprefix("file://")))
        folder, _, name = uri.rpartition("/")
        if folder != self._folder:
            self._folder, self._found = folder, artifacts.etags(folder)
        return self._found.get(name, GONE)


def _texts() -> Any:
    """Names are text, also those that look like numbers."""
    return pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys((URI, IDENTITY, NAME, ETAG), pa.string()), strings_can_be_null=True
    )


def _check_columns(columns: list[str], path: str) -> None:
    points = [name for name in POINTS if name in columns]
    once = len(set(columns)) == len(columns)
    if once and {URI, IDENTITY} <= set(columns) and len(points) in (0, len(POINTS)):
        return
    marks = [mark for mark in (";", "\t", "|") if any(mark in column for column in columns)]
    delimiter = f"; its fields seem to be separated by {marks[0]!r}" if marks else ""
    raise BadInputError(
        "the manifest does not have the columns of one",
        got=f"{path}: {', '.join(columns)}{delimiter}",
        allowed=f"each column once, {URI} and {IDENTITY}, and all or none of {', '.join(POINTS)}",
        fix="rename the columns, or write the file with commas between its fields",
    )


def _listed(row: dict[str, Any], folder: str, etags: _Etags) -> Listed:
    given = str(row.pop(URI) or "")
    identity, name, etag = row.pop(IDENTITY), row.pop(NAME, None), row.pop(ETAG, None)
    points = _points(given, [row.pop(column, None) for column in POINTS])
    uri = given if "://" in given or given.startswith("/") else artifacts.join(folder, given)
    facts = {
        "uri": uri,
        "anchors": points,
        "attributes": {column: _plain(value) for column, value in row.items() if not _is_missing(value)},
    }
    return Listed(
        str(name or given),
        None if _is_missing(identity) else str(identity) or None,
        etag_of(etag or etags.of(uri), facts),
        pack(**facts),
    )


def _points(uri: str, points: list[Any]) -> list[float] | None:
    if any(map(_is_missing, points)):
        return None
    try:
        numbers = [float(point) for point in points]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or max(map(abs, numbers)) > FARTHEST:
        raise BadInputError(
            "the manifest has points that lie in no picture",
            got=f"{points} for {uri[:200]}",
            allowed="pixels, or nothing in all ten columns",
            fix="correct the row",
        )
    return numbers


def _is_missing(value: Any) -> bool:
    """Whether a cell is empty: pandas writes NaN for it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _plain(value: Any) -> bool | int | float | str:
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _read(uri: str, limits: Limits) -> bytes:
    if artifacts.is_local(uri):
        return read_file(Path(uri.removeprefix("file://")), limits)
    try:
        content = artifacts.read_at_most(uri, limits.max_bytes + 1)
    except FileNotFoundError as error:
        raise UndecodableError("missing", got=uri) from error
    check_bytes(len(content), limits)
    return content
