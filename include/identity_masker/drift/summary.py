"""What is kept of a table: a summary of every column and some of its rows, drawn at random. Mergeable."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from identity_masker.drift.column_summary import CategorySummary, ColumnSummary, NumericSummary, PlainSummary
from identity_masker.drift.kinds import TESTED, Kind, kind_of
from identity_masker.drift.policy import DriftPolicy
from identity_masker.errors import BadInputError
from identity_masker.statistics.quantile_sketch import QuantileSketch
from identity_masker.statistics.samples import Floats

ROW = "__row__"
"""Column of the kept rows that holds their position in the table."""


@dataclass
class RowSample:
    """At most `size` rows drawn uniformly from all that were added: those of the smallest random keys."""

    size: int
    seed: int = 0
    keys: Floats = field(default_factory=lambda: np.empty(0))
    rows: pa.Table | None = None
    seen: int = 0

    def update(self, batch: pa.Table) -> None:
        keys = np.random.default_rng((self.seed, self.seen)).random(batch.num_rows)
        batch = batch.append_column(ROW, pa.array(np.arange(self.seen, self.seen + batch.num_rows)))
        self.seen += batch.num_rows
        if self.keys.size == self.size:
            wanted = keys < self.keys.max()
            keys, batch = keys[wanted], batch.filter(pa.array(wanted))
        self._keep(keys, batch)

    def merge(self, other: RowSample) -> None:
        self.seen += other.seen
        if other.rows is not None:
            self._keep(other.keys, other.rows)

    def first(self, count: int) -> pa.Table | None:
        """At most `count` of the kept rows, again drawn uniformly."""
        if self.rows is None or self.rows.num_rows <= count:
            return self.rows
        return self.rows.take(pa.array(np.sort(np.argsort(self.keys, kind="stable")[:count])))

    def _keep(self, keys: Floats, rows: pa.Table) -> None:
        if self.rows is not None:
            keys = np.concatenate([self.keys, keys])
            rows = pa.concat_tables([self.rows, rows], promote_options="permissive")
        best = np.sort(np.argpartition(keys, self.size - 1)[: self.size]) if keys.size > self.size else None
        self.keys, self.rows = (keys, rows) if best is None else (keys[best], rows.take(pa.array(best)))


@dataclass
class TableSummary:
    """Rows, kinds and summaries of the columns of a table, and a sample of its rows.

    `id_column`: the column whose values name rows, when the policy says one and the table has it.
    """

    kinds: dict[str, Kind]
    columns: dict[str, ColumnSummary]
    sample: RowSample
    rows: int = 0
    id_column: str | None = None

    @classmethod
    def empty(cls, schema: pa.Schema, policy: DriftPolicy, seed: int = 0) -> TableSummary:
        """A summary of no rows yet. Raises `BadInputError` for two columns of one name."""
        if len(set(schema.names)) < len(schema.names):
            raise BadInputError("the table has two columns of one name", got=sorted(schema.names))
        kinds = {each.name: kind_of(each.name, each.type, policy.column(each.name)) for each in schema}
        named = policy.id_column if policy.id_column in kinds else None
        if named is not None:
            kinds[named] = "ignored"
        columns = {name: _empty(kind, seed) for name, kind in kinds.items()}
        return cls(kinds, columns, RowSample(policy.kept_rows, seed), id_column=named)

    def update(self, batch: pa.RecordBatch) -> None:
        """Add the rows of `batch`."""
        if batch.num_rows == 0:
            return
        for name, summary in self.columns.items():
            self.columns[name] = _updated(name, summary, batch.column(name), self.kinds[name])
        self.sample.update(pa.Table.from_batches([batch]).select(self._sampled()))
        self.rows += batch.num_rows

    def merge(self, other: TableSummary) -> None:
        """Add all that `other` has seen. Raises `BadInputError` when the columns are not the same."""
        if self.kinds != other.kinds:
            raise BadInputError("summaries of different columns cannot be merged", got=f"{self.kinds}, {other.kinds}")
        for name, summary in self.columns.items():
            self.columns[name] = _merged(summary, other.columns[name])
        self.sample.merge(other.sample)
        self.rows += other.rows

    def _sampled(self) -> list[str]:
        """Columns of which rows are kept: what is tested, and the column that names rows."""
        return [name for name, kind in self.kinds.items() if kind in TESTED or name == self.id_column]


def _empty(kind: Kind, seed: int) -> ColumnSummary:
    if kind == "numeric":
        return NumericSummary(QuantileSketch(seed=seed))
    return CategorySummary() if kind == "category" else PlainSummary()


def _updated(name: str, summary: ColumnSummary, values: pa.Array, kind: Kind) -> ColumnSummary:
    missing = values.null_count
    if isinstance(summary, NumericSummary):
        summary.update(numbers(values.drop_null()), missing)
        return summary
    if isinstance(summary, CategorySummary):
        found = pc.value_counts(pc.cast(values.drop_null(), pa.string()))
        counts = zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
        summary.update(dict(counts), missing)
        return summary
    return summary.updated(len(values), missing, _dimensions(name, values) if kind == "embedding" else None)


def _merged(summary: ColumnSummary, other: ColumnSummary) -> ColumnSummary:
    match summary, other:
        case NumericSummary(), NumericSummary():
            summary.merge(other)
        case CategorySummary(), CategorySummary():
            summary.merge(other)
        case PlainSummary(), PlainSummary():
            return summary.updated(other.rows, other.missing, other.dimensions)
    return summary


def _dimensions(name: str, values: pa.Array) -> int | None:
    lengths = pc.unique(pc.list_value_length(values.drop_null())).to_pylist()
    if len(lengths) > 1:
        raise BadInputError(f"column {name} holds vectors of several lengths", got=sorted(lengths))
    return int(lengths[0]) if lengths else None


def numbers(values: pa.Array) -> Floats:
    """A column of numbers without nulls as float64."""
    return np.asarray(pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
