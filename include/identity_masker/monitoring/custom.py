"""Metrics that people declare: include/config/metrics.yaml, SQL over the compacted events."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Literal, Self

import duckdb
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from identity_masker.documents import load_yaml
from identity_masker.errors import BadInputError
from identity_masker.monitoring.event_views import event_views
from identity_masker.monitoring.sample import Family

VALUE = "value"
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")


class CustomMetric(BaseModel):
    """One metric. Its SQL gives a row a series: the labels by name, and `value`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^masker_[a-z0-9_]{1,80}$", description="Without `_total`, which a counter gets.")
    help: str = Field(min_length=1, max_length=300)
    kind: Literal["gauge", "counter"] = "gauge"
    unit: str = Field(default="", pattern=r"^([a-z]+)?$", description="The end of the name, if it has a unit.")
    labels: tuple[str, ...] = Field(default=(), max_length=5)
    sql: str = Field(min_length=1)

    @field_validator("labels")
    @classmethod
    def _labels(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        for label in labels:
            if not _LABEL.fullmatch(label) or label == VALUE:
                raise ValueError(f"{label!r} is no name of a label")
        if len(set(labels)) < len(labels):
            raise ValueError("a label is named twice")
        return labels

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.unit and not self.name.endswith(f"_{self.unit}"):
            raise ValueError(f"the name ends with its unit: {self.name}_{self.unit}")
        if self.name.endswith(("_total", "_count", "_sum", "_bucket")):
            raise ValueError("the endings _total, _count, _sum and _bucket belong to Prometheus")
        return self

    @property
    def family(self) -> Family:
        return Family(self.name, self.help, self.labels, self.kind)


class CustomMetrics(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int = Field(default=8, ge=1, le=90, description="How far back the views reach from the last whole hour.")
    seconds: float = Field(default=20.0, gt=0, le=300, description="Time for one query.")
    memory: str = Field(default="256MB", pattern=r"^[1-9]\d*(MB|GB)$", description="What all queries may use.")
    metrics: tuple[CustomMetric, ...] = ()

    @model_validator(mode="after")
    def _unique(self) -> Self:
        twice = [name for name, count in Counter(metric.name for metric in self.metrics).items() if count > 1]
        if twice:
            raise ValueError(f"declared twice: {', '.join(twice)}")
        return self


def load_metrics(path: Path) -> CustomMetrics:
    """The metrics of the file.

    Raises `NotFoundError` for a missing file, and `BadInputError` that names each wrong field or what is wrong with a
    metric's SQL: it is tried on views without rows.
    """
    found = load_yaml(CustomMetrics, path, "file of metrics")
    with event_views({}, memory=found.memory) as connection:
        for metric in found.metrics:
            check_sql(connection, metric)
    return found


def check_sql(connection: duckdb.DuckDBPyConnection, metric: CustomMetric) -> None:
    """Raise `BadInputError` unless the SQL is one SELECT that gives the labels and a number called `value`."""
    where = f"sql of {metric.name}"
    try:
        statements = connection.extract_statements(metric.sql)
        if [each.type for each in statements] != [duckdb.StatementType.SELECT]:
            raise BadInputError("a metric is one SELECT", got=f"{where}: {[str(each.type) for each in statements]}")
        described = connection.execute(f"DESCRIBE {metric.sql.rstrip().rstrip(';')}").fetchall()
    except duckdb.Error as error:
        raise BadInputError(
            f"the {where} is wrong", got=str(error).splitlines()[0], fix="see docs/metrics.md"
        ) from error
    columns = {row[0]: row[1] for row in described}
    if columns.keys() != {*metric.labels, VALUE}:
        raise BadInputError(
            f"the {where} gives other columns", got=", ".join(columns), allowed=", ".join((*metric.labels, VALUE))
        )
    if not _is_number(columns[VALUE]):
        raise BadInputError(f"the {where} gives no number", got=f"value is {columns[VALUE]}")


def _is_number(type_: str) -> bool:
    numbers = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UBIGINT", "UINTEGER", "FLOAT", "DOUBLE")
    return type_ in numbers or type_.startswith("DECIMAL")
