"""What may be added to a feature view, what is refused, and the statistics that are kept of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.features import feature_statistics
from identity_masker.features.definitions import CREATED, USER_PROFILE
from identity_masker.features.feature_statistics import history
from identity_masker.features.offline import append, arrow_schema
from identity_masker.features.places import FeaturePlaces

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def places(tmp_path: Path) -> FeaturePlaces:
    return FeaturePlaces(tmp_path / "home", f"file://{tmp_path}/store")


def users(**columns: Any) -> pd.DataFrame:
    row = {
        "user": ["a", "b"],
        "device": ["phone", None],
        "region": ["eu", "eu"],
        "plan": ["pro", "free"],
        "masking_strength": [0.25, None],
        "event_timestamp": [pd.Timestamp(NOW - timedelta(hours=1))] * 2,
    }
    return pd.DataFrame({**row, **columns})


def test_rows_are_stored_with_the_time_they_became_known(places: FeaturePlaces) -> None:
    added = append(USER_PROFILE, users(), places, NOW)
    table = pq.read_table(added.uri.removeprefix("file://"))
    assert table.schema.equals(arrow_schema(USER_PROFILE))
    assert table[CREATED].to_pylist() == [NOW, NOW]
    assert table["device"].to_pylist() == ["phone", None]


def test_statistics_of_every_feature_are_kept_with_each_addition(places: FeaturePlaces) -> None:
    append(USER_PROFILE, users(), places, NOW)
    append(USER_PROFILE, users(masking_strength=[0.5, 1.0]), places, NOW + timedelta(hours=1))
    first, second = history("user_profile", places)
    strength = {each.feature: each for each in first.features}["masking_strength"]
    assert (strength.missing, strength.mean, strength.high) == (1, 0.25, 0.25)
    assert {each.feature: each for each in first.features}["region"].common == {"eu": 2}
    assert {each.feature: each for each in second.features}["masking_strength"].mean == 0.75
    assert (first.rows, first.keys, first.last) == (2, 2, NOW - timedelta(hours=1))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"masking_strength": [0.5, 1.5]}, "masking_strength 1.5 of 'b'"),
        ({"event_timestamp": [pd.Timestamp(NOW + timedelta(hours=1))] * 2}, "not of the future"),
        ({"user": ["", "b"]}, "user ''"),
        ({"masking_strength": ["much", "0.5"]}, "masking_strength 'much'"),
        ({"favourite": [1, 2]}, "does not have the columns"),
    ],
)
def test_a_table_with_one_bad_value_adds_nothing(places: FeaturePlaces, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInputError, match="user_profile") as caught:
        append(USER_PROFILE, users(**wrong), places, NOW)
    assert told in str(caught.value)
    assert artifacts.tree(places.table("user_profile")) == []


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=40))
def test_statistics_count_every_row_once(values: list[float | None]) -> None:
    count = len(values)
    rows = pd.DataFrame(
        {
            **{name: ["x"] * count for name in ("user", "device", "region", "plan")},
            "masking_strength": pd.Series(values, dtype="float64"),
            "event_timestamp": [pd.Timestamp(NOW)] * count,
        }
    )
    found = {each.feature: each for each in feature_statistics.of(USER_PROFILE, rows, NOW).features}["masking_strength"]
    present = [value for value in values if value is not None]
    assert found.rows == len(values) == found.missing + len(present)
    if present:
        assert found.low is not None
        assert found.high is not None
        assert found.mean is not None
        assert found.low <= found.mean + 1e-12
        assert found.mean <= found.high + 1e-12
