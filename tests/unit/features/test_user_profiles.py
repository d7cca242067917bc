"""Files of users as people export them, with what is wrong with them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.features.user_profiles import profile_rows

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def rows_of(tmp_path: Path, text: str) -> pd.DataFrame:
    path = tmp_path / "users.csv"
    path.write_text(text)
    return profile_rows(path, lambda user: f"unit-{user}", NOW)


def test_users_are_hashed_and_what_a_file_lacks_is_missing(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "user,plan\n007,pro\nalice,free\n")
    assert rows["user"].tolist() == ["unit-007", "unit-alice"]
    assert rows["device"].isna().all()
    assert rows["event_timestamp"].tolist() == [pd.Timestamp(NOW)] * 2


def test_times_keep_their_moment_whatever_their_zone(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "user,event_timestamp\na,2026-02-01T12:00:00+02:00\nb,2026-02-01T10:00:00Z\n")
    assert rows["event_timestamp"].nunique() == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("user;plan\na;pro\n", "separate the columns by commas, not by ';'"),
        ("name,plan\na,pro\n", "user and any of device"),
        ("user,plan\n,pro\n", "1 of 1 rows"),
        ("user,event_timestamp\na,yesterday-ish\n", "cannot be read"),
        ("user,event_timestamp\na,2026-02-01T12:00:00\n", "has no zone"),
        ("", "cannot be read"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadInputError) as caught:
        rows_of(tmp_path, text)
    assert told in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere\.csv"):
        profile_rows(tmp_path / "nowhere.csv", str, NOW)
