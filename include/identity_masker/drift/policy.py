"""What counts as drift: one YAML file, `include/config/drift.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from identity_masker.documents import load_yaml
from identity_masker.drift.column_policy import ColumnPolicy
from identity_masker.drift.traffic_policy import TrafficPolicy

FILE = "drift.yaml"
Family = Literal["columns", "embeddings", "quality", "slow"]
NIGHTLY: tuple[Family, ...] = ("columns", "embeddings", "quality")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Shares(_Section):
    """How the false alarms are divided over the kinds of tests. What a table has no use for goes to the others."""

    columns: float = Field(default=0.5, gt=0.0, le=1.0, description="Distribution of numeric and category columns.")
    embeddings: float = Field(default=0.2, gt=0.0, le=1.0)
    quality: float = Field(default=0.1, gt=0.0, le=1.0, description="Missing and infinite values.")
    slow: float = Field(default=0.2, gt=0.0, le=1.0, description="Drift that only many nights together show.")

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.columns + self.embeddings + self.quality + self.slow
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"the shares add up to {total:g}, not to 1")
        return self


class FalseAlarms(_Section):
    """The one stated rate: without drift, at most one night in `nights` raises an alarm, over all columns and tests."""

    nights: int = Field(default=365, ge=1, le=100_000, description="Nights without drift to one false alarm.")
    shares: Shares = Shares()
    across_columns: Literal["benjamini_hochberg", "max_statistic"] = Field(
        default="benjamini_hochberg",
        description="How columns share a night's rate; max_statistic permutes rows: stronger on correlated columns.",
    )
    permutations: int = Field(default=1_999, ge=99, le=100_000, description="Of the max-statistic; raised as needed.")


class Floors(_Section):
    """Effects below these are not drift, however certain they are."""

    numeric: float = Field(
        default=0.05, ge=0.0, description="Wasserstein distance in units of the reference's spread (IQR / 1.349)."
    )
    category: float = Field(default=0.03, ge=0.0, le=1.0, description="Total variation: share of rows to relabel.")
    missing: float = Field(default=0.02, ge=0.0, le=1.0, description="Change of the share of missing values.")
    embedding: float = Field(default=0.05, ge=0.0, le=1.0, description="2 AUC - 1 of a classifier of the two windows.")


class EmbeddingPolicy(_Section):
    """How embedding columns are compared."""

    rows: int = Field(default=2_000, ge=50, le=20_000, description="Rows compared, at most, of each table.")
    permutations: int = Field(default=999, ge=99, description="First round; a second of the needed size follows it.")
    named: int = Field(default=20, ge=0, le=1_000, description="Rows that differ most, named in the result.")


class DriftPolicy(_Section):
    """All of it. `id_column` names the rows that differ most; it is not tested itself."""

    version: Literal[1] = 1
    min_rows: int = Field(default=30, ge=2, description="Fewer rows on either side are not enough data.")
    kept_rows: int = Field(
        default=10_000, ge=50, le=200_000, description="Rows kept of each table: for embeddings and max_statistic."
    )
    bins: int = Field(default=10, ge=2, le=100, description="Bins of the stability index.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0, description="Of the intervals of the effects.")
    id_column: str | None = None
    false_alarms: FalseAlarms = FalseAlarms()
    floors: Floors = Floors()
    embeddings: EmbeddingPolicy = EmbeddingPolicy()
    columns: dict[str, ColumnPolicy] = Field(default_factory=dict)
    traffic: TrafficPolicy = TrafficPolicy()

    def column(self, name: str) -> ColumnPolicy:
        return self.columns.get(name, ColumnPolicy())

    def of_traffic(self) -> DriftPolicy:
        """The policy of the nightly check: with what is known of the columns of request events."""
        return self.model_copy(update={"columns": {**self.traffic.columns, **self.columns}})

    def floor(self, name: str, family_floor: float) -> float:
        own = self.column(name).floor
        return family_floor if own is None else own

    def alpha(self, family: Family, present: frozenset[Family]) -> float:
        """A night's false-alarm probability of `family`, when the tests of `present` are run.

        The slow test's share is never given away: `compare` and the night's check then judge alike.
        """
        shares = self.false_alarms.shares
        if family == "slow":
            return shares.slow / self.false_alarms.nights
        by_family = shares.model_dump()
        used = sum(float(by_family[name]) for name in NIGHTLY if name in present)
        return float(by_family[family]) / used * (1.0 - shares.slow) / self.false_alarms.nights


def load_policy(path: Path) -> DriftPolicy:
    """The policy in the YAML file `path`.

    Raises `NotFoundError` when there is none, `BadInputError` with every field that does not validate.
    """
    return load_yaml(DriftPolicy, path, "drift policy", fix="name a file with --policy")
