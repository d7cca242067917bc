from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.serving.exposures import Seen, attributes
from identity_masker.serving.problem import HttpError

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=10)


@given(st.dictionaries(st.text(max_size=10), scalars, max_size=10))
def test_flat_objects_are_attributes(given: dict[str, Any]) -> None:
    assert attributes(json.dumps(given)) == given


@pytest.mark.parametrize("header", [None, ""])
def test_no_header_is_no_attributes(header: str | None) -> None:
    assert attributes(header) == {}


WRONG = ("{", "[]", "3", '{"a": {}}', '{"a": [1]}', '{"a": NaN}', "[" * 4000)
LARGE = (json.dumps({"a": "x" * 5000}), json.dumps(dict.fromkeys(map(str, range(65)), 1)))


@pytest.mark.parametrize("header", [*WRONG, *LARGE])
def test_anything_else_is_refused_without_its_content(header: str) -> None:
    with pytest.raises(HttpError, match=f"got {len(header)} characters") as refused:
        attributes(header)
    assert refused.value.status == 422


def test_the_oldest_is_forgotten_first_and_a_meeting_keeps_young() -> None:
    seen = Seen(remembered=2)
    a, b, c = (("e", unit, "on") for unit in "abc")
    seen.add(a)
    seen.add(b)
    assert a in seen
    seen.add(c)
    assert (a in seen, b in seen, c in seen) == (True, False, True)
