from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.errors import BadInputError
from identity_masker.experiments.targeting import compiled

PHONE = {"device": "phone", "age": 30, "region": "eu", "tags": ["pro", "beta"], "app": {"version": "2.1"}, "flag": True}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({}, True),
        ({"device": "phone"}, True),
        ({"device": "tv"}, False),
        ({"device": "phone", "region": "us"}, False),
        ({"device": {"in": ["phone", "tablet"]}}, True),
        ({"device": {"$in": ["tv"]}}, False),
        ({"device": {"nin": ["tv"]}}, True),
        ({"device": {"ne": "tv"}}, True),
        ({"age": {"gte": 30, "lt": 31}}, True),
        ({"age": {"gt": 30}}, False),
        ({"region": {"gt": "a"}}, True),
        ({"age": {"gt": "a"}}, False),
        ({"flag": True}, True),
        ({"flag": 1}, False),
        ({"flag": {"gt": 0}}, False),
        ({"tags": "pro"}, True),
        ({"tags": {"in": ["basic"]}}, False),
        ({"tags": ["pro", "beta"]}, True),
        ({"app.version": "2.1"}, True),
        ({"app.build": {"exists": False}}, True),
        ({"missing": {"exists": True}}, False),
        ({"missing": {"ne": "x"}}, True),
        ({"missing": {"lt": 5}}, False),
        ({"device": {"regex": "^ph"}}, True),
        ({"age": {"regex": "3"}}, False),
        ({"device": {"not": {"in": ["tv"]}}}, True),
        ({"any": [{"device": "tv"}, {"age": {"gt": 20}}]}, True),
        ({"$or": [{"device": "tv"}, {"age": {"$gt": 40}}]}, False),
        ({"all": [{"device": "phone"}, {"region": "eu"}]}, True),
        ({"$nor": [{"device": "tv"}]}, True),
        ({"not": {"device": "phone"}}, False),
        ({"any": []}, False),
    ],
)
def test_conditions(condition: dict[str, Any], expected: bool) -> None:
    assert compiled(condition)(PHONE) is expected


@pytest.mark.parametrize(
    "condition",
    [
        "phone",
        {"device": {"like": "x"}},
        {"device": {"in": "phone"}},
        {"device": {"regex": "("}},
        {"device": {"regex": 5}},
        {"device": {}},
        {"$where": "1"},
        {"any": [["device"]]},
    ],
)
def test_what_is_not_a_condition_is_refused_when_it_is_read(condition: Any) -> None:
    with pytest.raises(BadInputError):
        compiled(condition)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=5)
attributes = st.dictionaries(st.sampled_from(["a", "b"]), scalars | st.lists(scalars, max_size=3), max_size=2)


@given(attributes, st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]), scalars)
def test_a_condition_never_fails_on_a_unit(found: dict[str, Any], name: str, operand: Any) -> None:
    condition = compiled({"a": {name: operand}})
    assert condition(found) in (True, False)
    assert compiled({"a": {"not": {name: operand}}})(found) is not condition(found)
