"""What the values of each feature looked like when they came in: kept with every addition, so that a change shows."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.features.definitions import TIME, FeatureTable, Type
from identity_masker.features.places import FeaturePlaces

MOST_COMMON = 10


class FeatureStatistics(BaseModel):
    """One feature. Moments and quantiles are of numbers, `common` counts the most frequent texts."""

    model_config = ConfigDict(frozen=True)

    feature: str
    rows: int
    missing: int
    distinct: int
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    p05: float | None = None
    p50: float | None = None
    p95: float | None = None
    high: float | None = None
    common: dict[str, int] | None = None


class TableStatistics(BaseModel):
    """All features of one addition to a view. `first` and `last` are the times its rows hold since."""

    model_config = ConfigDict(frozen=True)

    view: str
    created: datetime
    rows: int
    keys: int
    first: datetime | None
    last: datetime | None
    features: tuple[FeatureStatistics, ...]


def of(table: FeatureTable, rows: pd.DataFrame, now: datetime) -> TableStatistics:
    """The statistics of `rows`, which are what the view declares."""
    return TableStatistics(
        view=table.name,
        created=now,
        rows=len(rows),
        keys=int(rows[table.entity].nunique()),
        first=rows[TIME].min() if len(rows) else None,
        last=rows[TIME].max() if len(rows) else None,
        features=tuple(_feature(name, kind, rows[name]) for name, kind in table.features.items()),
    )


def history(view: str, places: FeaturePlaces) -> list[TableStatistics]:
    """The statistics of all additions to a view, oldest first."""
    folder = places.uri("statistics", view)
    return [artifacts.read_model(TableStatistics, artifacts.join(folder, name)) for name in artifacts.names(folder)]


def _feature(name: str, kind: Type, values: pd.Series) -> FeatureStatistics:
    present = values.dropna()
    counted = {
        "feature": name,
        "rows": len(values),
        "missing": len(values) - len(present),
        "distinct": int(present.nunique()),
    }
    if kind == "text":
        common = present.value_counts().head(MOST_COMMON)
        return FeatureStatistics(**counted, common={str(text): int(count) for text, count in common.items()})
    if present.empty:
        return FeatureStatistics(**counted)
    numbers = present.astype("float64")
    low, p05, p50, p95, high = (float(value) for value in numbers.quantile([0, 0.05, 0.5, 0.95, 1]))
    return FeatureStatistics(
        **counted, mean=float(numbers.mean()), sd=float(numbers.std(ddof=0)), low=low, p05=p05, p50=p50, p95=p95,
        high=high,
    )  # fmt: skip
