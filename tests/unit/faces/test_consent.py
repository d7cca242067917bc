from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("identity;given_on;withdrawn_on\nann;2026-01-01;\n", "separate the columns of a CSV by commas"),
        ("identity,given_on\nann,2026-01-01\n", "add withdrawn_on"),
        ("identity,given_on,withdrawn_on\nann,soon,\n", "cannot be read"),
        ("identity,given_on,withdrawn_on\nann,2026-01-01,\nann,2026-01-02,\n", "twice; got ann"),
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
