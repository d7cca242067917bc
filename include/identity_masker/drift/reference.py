"""A reference: the summary of the data a model was trained on, stored with the model and reused every night.

A folder of three files: `reference.json` (what it is of, and the numbers of each column), `sketches.npz` and
`rows.parquet`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from identity_masker import artifacts
from identity_masker.drift.column_summary import CategorySummary, ColumnSummary, NumericSummary, PlainSummary
from identity_masker.drift.kinds import Kind
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.summary import RowSample, TableSummary
from identity_masker.errors import BadInputError
from identity_masker.statistics.quantile_sketch import QuantileSketch

FILE, SKETCHES, ROWS = "reference.json", "sketches.npz", "rows.parquet"
KEY = "__key__"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Provenance(_Document):
    """What the reference is of."""

    source: str
    model_version: str | None = None
    dataset: str | None = None
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class _Numeric(_Document):
    is_a: Literal["numeric"] = "numeric"
    sketch: dict[str, float]
    missing: int
    infinite: int
    low: float | None
    high: float | None
    mean: float
    scatter: float


class _Category(_Document):
    is_a: Literal["category"] = "category"
    counts: dict[str, int]
    missing: int
    rest: int
    identifier: bool


class _Plain(_Document):
    is_a: Literal["plain"] = "plain"
    rows: int
    missing: int
    dimensions: int | None


class _Stored(_Document):
    format: Literal[1] = 1
    provenance: Provenance
    rows: int
    id_column: str | None
    kinds: dict[str, Kind]
    columns: dict[str, Annotated[_Numeric | _Category | _Plain, Field(discriminator="is_a")]]
    sample_size: int
    sample_seed: int
    hashes: dict[str, str]


@dataclass(frozen=True)
class Reference:
    """A summary and what it is of."""

    provenance: Provenance
    summary: TableSummary

    def under(self, policy: DriftPolicy) -> TableSummary:
        """The summary as `policy` sees it: without the columns it ignores.

        Raises `BadInputError` when the policy now wants a column as another kind than the one that was summarised.
        """
        kinds = dict(self.summary.kinds)
        for name, column in policy.columns.items():
            if column.kind == "ignore" and name in kinds:
                kinds[name] = "ignored"
            elif column.kind != "auto" and kinds.get(name, "empty") not in (column.kind, "empty"):
                raise BadInputError(
                    "the reference was made under another policy",
                    got=f"column {name} summarised as {kinds[name]}, wanted as {column.kind}",
                    fix="make the reference anew with `masker drift summarise`",
                )
        return TableSummary(kinds, self.summary.columns, self.summary.sample, self.summary.rows, self.summary.id_column)


def save(reference: Reference, uri: str) -> str:
    """Write `reference` under `uri`, the describing file last; returns its hash, the identity of the reference."""
    summary = reference.summary
    sketches: dict[str, NDArray[Any]] = {}
    columns = {}
    for index, (name, column) in enumerate(summary.columns.items()):
        columns[name] = _stored(column)
        if isinstance(column, NumericSummary):
            _, sketches[f"values_{index}"], sketches[f"levels_{index}"] = column.sketch.state()
    files = {SKETCHES: _npz(sketches), ROWS: _parquet(summary.sample)}
    for name, content in files.items():
        artifacts.write_bytes(artifacts.join(uri, name), content)
    stored = _Stored(
        provenance=reference.provenance,
        rows=summary.rows,
        id_column=summary.id_column,
        kinds=summary.kinds,
        columns=columns,
        sample_size=summary.sample.size,
        sample_seed=summary.sample.seed,
        hashes={name: artifacts.sha256(content) for name, content in files.items()},
    )
    document = stored.model_dump_json(indent=1).encode()
    artifacts.write_bytes(artifacts.join(uri, FILE), document)
    return artifacts.sha256(document)


def is_reference(uri: str) -> bool:
    return artifacts.exists(artifacts.join(uri, FILE))


def provenance(uri: str) -> Provenance:
    """What the reference under `uri` is of. Raises `NotFoundError` and `BadInputError` as `load` does."""
    return _document(uri).provenance


def _document(uri: str) -> _Stored:
    content = artifacts.read_bytes(artifacts.join(uri, FILE))
    try:
        return _Stored.model_validate_json(content)
    except ValidationError as error:
        raise BadInputError(
            "the stored reference cannot be read", got=f"{uri}: {error.errors()[0]['msg']}", fix="make it anew"
        ) from error


def load(uri: str, *, model_version: str | None = None) -> Reference:
    """The reference stored under `uri`.

    Raises `NotFoundError` when there is none, `BadInputError` when it is damaged, of an unknown format, or of another
    model version than `model_version`.
    """
    stored = _document(uri)
    found = stored.provenance.model_version
    if model_version is not None and found != model_version:
        raise BadInputError(
            "the reference is of another model version",
            got=f"{found or 'no version'} in {uri}",
            allowed=model_version,
        )
    files = {name: _checked(uri, name, digest) for name, digest in stored.hashes.items()}
    with np.load(io.BytesIO(files[SKETCHES]), allow_pickle=False) as arrays:
        columns = {
            name: _restored(column, arrays, index) for index, (name, column) in enumerate(stored.columns.items())
        }
    sample = _sample(stored, files[ROWS])
    return Reference(stored.provenance, TableSummary(stored.kinds, columns, sample, stored.rows, stored.id_column))


def _stored(column: ColumnSummary) -> _Numeric | _Category | _Plain:
    if isinstance(column, NumericSummary):
        some = column.count > 0
        return _Numeric(
            sketch=column.sketch.state()[0],
            missing=column.missing,
            infinite=column.infinite,
            low=column.low if some else None,
            high=column.high if some else None,
            mean=column.mean,
            scatter=column.scatter,
        )
    if isinstance(column, CategorySummary):
        return _Category(counts=column.counts, missing=column.missing, rest=column.rest, identifier=column.identifier)
    return _Plain(rows=column.rows, missing=column.missing, dimensions=column.dimensions)


def _restored(column: _Numeric | _Category | _Plain, arrays: np.lib.npyio.NpzFile, index: int) -> ColumnSummary:
    if isinstance(column, _Numeric):
        sketch = QuantileSketch.from_state(column.sketch, arrays[f"values_{index}"], arrays[f"levels_{index}"])
        made = NumericSummary(sketch, column.missing, column.infinite, mean=column.mean, scatter=column.scatter)
        if column.low is not None and column.high is not None:
            made.low, made.high = column.low, column.high
        return made
    if isinstance(column, _Category):
        return CategorySummary(dict(column.counts), column.missing, column.rest, column.identifier)
    return PlainSummary(column.rows, column.missing, column.dimensions)


def _checked(uri: str, name: str, digest: str) -> bytes:
    content = artifacts.read_bytes(artifacts.join(uri, name))
    if artifacts.sha256(content) != digest:
        raise BadInputError("the stored reference is damaged", got=f"{uri}/{name}: another hash", fix="make it anew")
    return content


def _npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _parquet(sample: RowSample) -> bytes:
    rows = sample.rows if sample.rows is not None else pa.table({})
    buffer = io.BytesIO()
    pq.write_table(rows.append_column(KEY, pa.array(sample.keys)), buffer, compression="zstd")
    return buffer.getvalue()


def _sample(stored: _Stored, content: bytes) -> RowSample:
    table = pq.read_table(io.BytesIO(content))
    keys = np.asarray(table.column(KEY).to_numpy(), dtype=np.float64)
    rows = table.drop_columns([KEY])
    return RowSample(stored.sample_size, stored.sample_seed, keys, rows if rows.num_columns else None, stored.rows)
