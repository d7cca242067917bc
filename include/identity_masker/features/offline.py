"""The tables behind the feature views: Parquet files that are only ever added, each checked before it is written."""

from __future__ import annotations

import io
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.features import feature_statistics
from identity_masker.features.definitions import CREATED, TIME, FeatureTable
from identity_masker.features.places import FeaturePlaces
from identity_masker.telemetry.logs import logger

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

_ARROW = {"number": pa.float64(), "integer": pa.int64(), "text": pa.string()}
_PANDAS = {"number": "float64", "integer": "Int64", "text": "string"}
_SKEW = timedelta(minutes=5)
_EXAMPLES = 3

log = logger(__name__)


class Appended(BaseModel):
    """What was added to a feature view. `statistics_uri` holds the statistics of each of its features."""

    model_config = ConfigDict(frozen=True)

    view: str
    rows: int
    uri: str
    statistics_uri: str


def append(table: FeatureTable, rows: pd.DataFrame, places: FeaturePlaces, now: datetime) -> Appended:
    """Add `rows`, known since `now`, to the table, and keep the statistics of their features.

    The columns are the entity's key, the features and `event_timestamp` with a time zone. Features may be missing.
    Raises `BadInputError` for other columns, values that are not what the view declares, and rows of the future.
    """
    checked_rows = _checked(table, rows, now)
    name = f"{now:%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"
    uri = artifacts.join(places.table(table.name), f"{name}.parquet")
    found = feature_statistics.of(table, checked_rows, now)
    statistics_uri = places.uri("statistics", table.name, f"{name}.json")
    # The statistics first: who sees the rows finds what is known of them.
    artifacts.write_json(statistics_uri, found.model_dump(mode="json"))
    artifacts.write_bytes(uri, _parquet(pa.Table.from_pandas(checked_rows, arrow_schema(table), preserve_index=False)))
    for feature in found.features:
        log.info("feature_statistics", view=table.name, **feature.model_dump(exclude_none=True))
    return Appended(view=table.name, rows=len(checked_rows), uri=uri, statistics_uri=statistics_uri)


def make_empty(table: FeatureTable, places: FeaturePlaces) -> None:
    """A file without rows, so that a view can be joined before anything was added to it."""
    uri = artifacts.join(places.table(table.name), "0-empty.parquet")
    artifacts.create_bytes(uri, _parquet(arrow_schema(table).empty_table()))


def bring(table: FeatureTable, places: FeaturePlaces) -> None:
    """Copy the files of an object store that are not at hand yet; a file never changes once it is there."""
    source, folder = places.table(table.name), places.at_hand(table.name)
    if artifacts.is_local(source):
        return
    folder.mkdir(parents=True, exist_ok=True)
    stored = set(artifacts.names(source))
    for name in sorted(stored - {path.name for path in folder.iterdir()}):
        partial = folder / f".{name}.{uuid.uuid4().hex}"
        artifacts.get_file(artifacts.join(source, name), partial)
        partial.replace(folder / name)
    for path in folder.glob("*.parquet"):
        if path.name not in stored:
            path.unlink()


def arrow_schema(table: FeatureTable) -> pa.Schema:
    """The columns of the table's files."""
    moment = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            (table.entity, pa.string()),
            *((name, _ARROW[kind]) for name, kind in table.features.items()),
            (TIME, moment),
            (CREATED, moment),
        ]
    )


def _parquet(rows: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression="zstd")
    return buffer.getvalue()


def _checked(table: FeatureTable, rows: pd.DataFrame, now: datetime) -> pd.DataFrame:
    from pandera.errors import SchemaErrors

    wanted = [table.entity, *table.features, TIME]
    if sorted(rows.columns) != sorted(wanted):
        raise BadInputError(
            f"the table does not have the columns of {table.name}",
            got=", ".join(map(str, rows.columns)),
            allowed=", ".join(wanted),
            fix="name the columns so, separated by commas in a CSV file",
        )
    try:
        checked = _schema(table, now).validate(rows[wanted], lazy=True)
    except SchemaErrors as errors:
        raise BadInputError(
            f"rows are not what the feature view {table.name} declares",
            got=_cases(errors.failure_cases, rows, table.entity),
            fix="correct the rows named; none of the table was added",
        ) from errors
    return checked.assign(**{CREATED: pd.Timestamp(now)})


def _schema(table: FeatureTable, now: datetime) -> DataFrameSchema:
    from pandera.pandas import Check, Column, DataFrameSchema

    columns: dict[str, Any] = {
        table.entity: Column("string", Check.str_length(1, 256), coerce=True),
        TIME: Column(
            "datetime64[us, UTC]", Check.le(pd.Timestamp(now + _SKEW), error="not of the future"), coerce=True
        ),
    }
    for name, kind in table.features.items():
        share = name == "masking_strength" or "_share" in name
        checks = [Check.in_range(0, 1)] if share else []
        columns[name] = Column(_PANDAS[kind], checks, nullable=True, coerce=True)
    return DataFrameSchema(columns, strict=True)


def _cases(cases: pd.DataFrame, rows: pd.DataFrame, key: str) -> str:
    """The first failing values in words, and how many there are."""
    told = []
    for case in cases.head(_EXAMPLES).to_dict("records"):
        at = case["index"]
        whose = f" of {rows[key].iloc[int(at)]!r}" if pd.notna(at) and int(at) < len(rows) else ""
        told.append(f"{case['column']} {case['failure_case']!r}{whose} ({case['check']})")
    return "; ".join(told) + (f" and {len(cases) - _EXAMPLES} more" if len(cases) > _EXAMPLES else "")
