from __future__ import annotations

import contextlib
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.consent import states

TODAY = date(2026, 3, 1)
PEOPLE = pd.Series(["ann", "ben", "cid", "dot", "eve"])


def told(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "consent.csv"
    path.write_text(text)
    return states(PEOPLE, str(path), TODAY).tolist()


def test_consent_holds_from_its_day_until_it_is_withdrawn(tmp_path: Path) -> None:
    rows = "ann,2026-01-01,\nben,2026-01-01,2026-02-01\ncid,2026-04-01,\ndot,2026-01-01,2026-04-01\n"
    expected = ["given", "withdrawn", "missing", "given", "missing"]
    assert told(tmp_path, "identity,given_on,withdrawn_on\n" + rows) == expected


def test_without_a_table_nothing_is_recorded() -> None:
    assert set(states(PEOPLE, None, TODAY)) == {"not_recorded"}


def test_a_time_counts_as_its_day_in_utc_and_zones_may_be_mixed(tmp_path: Path) -> None:
    rows = (
        "ann,2026-03-01T23:00:00+00:00,\nben,2026-03-01,2026-03-01T12:00:00Z\n"
        "cid,2026-03-02T00:30:00+02:00,\ndot,2026-03-01T23:30:00-02:00,\neve,20260301,\n"
    )
    expected = ["given", "withdrawn", "given", "missing", "given"]
    assert told(tmp_path, "identity,given_on,withdrawn_on\n" + rows) == expected


def test_names_that_look_like_numbers_or_like_nothing_are_names(tmp_path: Path) -> None:
    path = tmp_path / "consent.csv"
    path.write_text("identity,given_on,withdrawn_on\n007,2026-01-01,\nNA,2026-01-01,\nNull,2026-01-01,\n1e3,,\n")
    assert states(pd.Series(["007", "7", "NA", "Null", "1e3"]), str(path), TODAY).tolist() == [
        "given", "missing", "given", "given", "missing",
    ]  # fmt: skip


@pytest.mark.parametrize("value", [3, True, 2.5, b"2026-01-01", ["2026-01-01"]])
def test_a_date_of_another_type_is_refused(tmp_path: Path, value: object) -> None:
    path = tmp_path / "consent.parquet"
    pd.DataFrame({"identity": ["ann"], "given_on": [value], "withdrawn_on": [None]}).to_parquet(path)
    with pytest.raises(BadInputError, match="a date in given_on cannot be read"):
        states(PEOPLE, str(path), TODAY)


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=20))
def test_a_damaged_table_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[float, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "consent.parquet"
    day = date(2026, 1, 1)
    pd.DataFrame({"identity": ["ann", "ben"], "given_on": [day, day], "withdrawn_on": [None, day]}).to_parquet(path)
    content = bytearray(path.read_bytes())
    for share, value in changes:
        content[int(share * len(content))] = value
    path.write_bytes(content)
    with contextlib.suppress(BadInputError):
        assert len(states(PEOPLE, str(path), TODAY)) == len(PEOPLE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("identity;given_on;withdrawn_on\nann;2026-01-01;\n", "separate the columns of a CSV by commas"),
        ("identity,given_on\nann,2026-01-01\n", "add withdrawn_on"),
        ("identity,given_on,withdrawn_on\nann,soon,\n", "cannot be read"),
        ("identity,given_on,withdrawn_on\nann,2026-01-01,\nann,2026-01-02,\n", "twice; got ann"),
        ("identity,given_on,withdrawn_on\n,2026-01-01,\n", "name nobody; got 1 rows"),
        ("identity,given_on,withdrawn_on,given_on\nann,,,2026-01-01\n", "columns of one name"),
        ("identity,given_on,withdrawn_on\nann,2026-01-01,,x\n", "Expected 3 columns, got 4"),
        ("", "cannot be read"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadInputError) as caught:
        told(tmp_path, text)
    assert words in str(caught.value)


def test_a_table_that_is_not_there_is_named() -> None:
    with pytest.raises(NotFoundError, match=r"no-such\.csv"):
        states(PEOPLE, "no-such.csv", TODAY)
