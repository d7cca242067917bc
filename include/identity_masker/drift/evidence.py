"""The evidence document: all that a verdict is made from. Stored as JSON, and judged again from there at any time."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from identity_masker.drift.kinds import Kind
from identity_masker.drift.policy import Family
from identity_masker.statistics.distances import Estimate


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Effect(_Document):
    """How large a difference is, with its confidence interval, and in which unit."""

    value: float
    low: float
    high: float
    unit: Literal["spread", "share of rows", "2 AUC - 1"]

    @classmethod
    def of(cls, estimate: Estimate, unit: Literal["spread", "share of rows", "2 AUC - 1"]) -> Effect:
        return cls(value=estimate.value, low=estimate.low, high=estimate.high, unit=unit)


class Side(_Document):
    """One window's view of a column. Quantiles at 1, 5, 25, 50, 75, 95 and 99 %; of categories the most frequent."""

    count: int
    missing: int = 0
    infinite: int = 0
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    sd: float | None = None
    quantiles: tuple[float, ...] = ()
    distinct: int | None = None
    top: dict[str, int] = Field(default_factory=dict)


class Histogram(_Document):
    """Shares of both windows over the same bins: `edges` of numbers, one more than bins, or the names of categories."""

    edges: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    reference: tuple[float, ...]
    current: tuple[float, ...]


class Gap(_Document):
    """A share of rows (missing, infinite) on both sides, with the exact p-value of their difference."""

    reference: float
    current: float
    p_value: float


class Column(_Document):
    """A numeric or category column. `note`: what is odd about it; for a `status` other than tested, why.

    `p_value`: of the Kolmogorov-Smirnov test or, for categories, the chi-square test. `bins_p_value`: chi-square over
    the bins of the stability index. `combined_p_value`: of both, what the verdict rests on. `rank_mean`: P(reference
    < current) + P(equal)/2; `rank_variance`: of one row's contribution to it.
    """

    name: str
    kind: Kind
    status: Literal["tested", "not_enough_data", "not_tested"] = "tested"
    note: str = ""
    ks: float | None = None
    psi: float | None = None
    wasserstein: float | None = None
    scale: float | None = None
    rank_mean: float | None = None
    rank_variance: float | None = None
    p_value: float | None = None
    bins_p_value: float | None = None
    combined_p_value: float | None = None
    max_statistic_p_value: float | None = None
    effect: Effect | None = None
    missing: Gap | None = None
    infinite: Gap | None = None
    new_categories: tuple[str, ...] = ()
    new_category_share: float = 0.0
    constant: tuple[bool, bool] = (False, False)
    out_of_range: float = Field(default=0.0, description="Share of rows of the current window outside policy limits.")
    outside_reference: float = Field(default=0.0, description="Share of rows outside what the reference has seen.")
    reference: Side
    current: Side
    histogram: Histogram | None = None


class Item(_Document):
    """A row of the current window that looks unlike the reference; a higher score, less alike."""

    row: str
    score: float


class Embedding(_Document):
    """A column of vectors."""

    name: str
    status: Literal["tested", "not_enough_data"] = "tested"
    note: str = ""
    dimensions: int | None = None
    rows: tuple[int, int] = (0, 0)
    unusable: tuple[int, int] = Field(default=(0, 0), description="Vectors with NaN or infinite numbers, left out.")
    mmd: float | None = None
    mmd_p_value: float | None = None
    classifier_p_value: float | None = None
    combined_p_value: float | None = None
    effect: Effect | None = None
    missing: Gap | None = None
    different: tuple[Item, ...] = ()
    points: tuple[tuple[tuple[float, float], ...], ...] = Field(
        default=(), description="Some rows of both windows on the first two principal axes of the pooled rows."
    )


class ChangedKind(_Document):
    name: str
    reference: Kind
    current: Kind


class Schema(_Document):
    """Columns that one side lacks or that are of another kind."""

    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    changed: tuple[ChangedKind, ...] = ()


class Window(_Document):
    """Where the rows of one side come from, and how many there are."""

    source: str
    rows: int
    model_version: str | None = None


class Evidence(_Document):
    """Everything measured of two windows."""

    format: Literal[1] = 1
    reference: Window
    current: Window
    compared: Schema = Schema()
    columns: tuple[Column, ...] = ()
    embeddings: tuple[Embedding, ...] = ()
    effective_columns: float | None = None

    @property
    def measured(self) -> tuple[Column | Embedding, ...]:
        return (*self.columns, *self.embeddings)

    @property
    def families(self) -> frozenset[Family]:
        """The kinds of tests that these windows gave rise to."""
        found: set[Family] = set()
        if any(column.status == "tested" for column in self.columns):
            found.add("columns")
        if any(each.status == "tested" for each in self.embeddings):
            found.add("embeddings")
        if any(c.missing or c.infinite for c in self.columns) or any(each.missing for each in self.embeddings):
            found.add("quality")
        return frozenset(found)
