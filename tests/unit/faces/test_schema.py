from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.faces.schema import TEXT, _once


@given(st.lists(st.lists(st.text(max_size=2), max_size=6), min_size=1, max_size=4))
def test_texts_that_occur_once_are_found_in_however_many_pieces_they_were_read(pieces: list[list[str]]) -> None:
    column = pa.chunked_array([pa.array(piece, pa.string()) for piece in pieces], pa.string())
    texts = pd.Series(pd.array(column, dtype=pd.StringDtype("pyarrow")))
    if len(texts):
        assert _once(texts).tolist() == (~texts.duplicated(keep=False)).tolist()


@pytest.mark.parametrize("values", [["a", "b", "a"], ["a"]])
def test_a_series_made_in_memory_is_one_piece(values: list[str]) -> None:
    assert _once(pd.Series(values, dtype=TEXT)).tolist() == [values.count(value) == 1 for value in values]
