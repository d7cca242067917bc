from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from tests.unit.drift.tables import QUICK, normal, write

from identity_masker.drift.tables import summarise
from identity_masker.errors import BadInputError, NotFoundError


def test_csv_and_parquet_of_one_table_give_one_summary(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = normal(rng, 100) | {"k": rng.choice(["a", "b"], 100)}
    found = [summarise(write(tmp_path / f"t.{kind}", columns), QUICK) for kind in ("csv", "parquet")]
    assert found[0].kinds == found[1].kinds
    assert found[0].columns["c1"].ordered.values == pytest.approx(found[1].columns["c1"].ordered.values)
    assert found[0].columns["k"].counts == found[1].columns["k"].counts


def test_csv_words_for_missing_and_infinite_values_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1.5,x\nnan,NA\ninf,y\n,null\n-inf,x\n")
    found = summarise(str(path), QUICK)
    assert found.kinds == {"a": "numeric", "b": "category"}
    assert (found.columns["a"].count, found.columns["a"].missing, found.columns["a"].infinite) == (1, 2, 2)
    assert found.columns["b"].counts == {"x": 2, "y": 1}


def test_one_word_in_the_last_row_makes_a_column_of_words(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n" + "1\n" * 30_000 + "many\n")
    assert summarise(str(path), QUICK).kinds == {"a": "category"}


def test_several_files_are_one_table_whose_parts_may_lack_columns(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", {"a": [1.0, 2.0], "b": [1.0, 1.0]})
    write(tmp_path / "2.parquet", {"a": [3.0]})
    for source in (str(tmp_path / "*.parquet"), str(tmp_path)):
        found = summarise(source, QUICK)
        assert (found.rows, found.columns["a"].count, found.columns["b"].missing) == (3, 3, 1)


def test_columns_that_are_missing_everywhere_are_empty_not_of_another_kind(tmp_path: Path) -> None:
    found = summarise(write(tmp_path / "t.parquet", {"a": [math.nan] * 3, "b": [None] * 3}), QUICK)
    assert (found.columns["a"].missing, found.columns["b"].missing) == (3, 3)
    assert found.kinds["b"] == "empty"


def test_unreadable_tables_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such table"):
        summarise(str(tmp_path / "none.parquet"), QUICK)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really a table")
    with pytest.raises(BadInputError, match=r"broken\.parquet cannot be read"):
        summarise(str(tmp_path / "broken.parquet"), QUICK)
    with pytest.raises(BadInputError, match="cannot be read"):
        summarise(str(tmp_path / "no*.parquet"), QUICK)
    with pytest.raises(BadInputError, match=r"\.parquet or \.csv"):
        summarise(str(tmp_path / "table.xlsx"), QUICK)
