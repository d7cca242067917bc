from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.release.evidence import load_evidence, parse_evidence


def document(**arm: Any) -> dict[str, Any]:
    return {"intervals": [{"seconds": 10, "arms": {"champion": {"requests": 10, "errors": 0, **arm}}}]}


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"requests": -1}, "champion.requests: Input should be greater than or equal to 0"),
        ({"errors": -1}, "champion.errors"),
        ({"errors": 11}, "11 errors of 10 requests"),
        ({"requests": 2.5}, "champion.requests"),
        ({"leak": {"n": -1, "mean": 0.1, "var": 0.1}}, "leak"),
        ({"leak": {"n": 5}}, "n is 5 but mean or var is missing"),
        ({"leak": {"n": 5, "mean": float("nan"), "var": 0.1}}, "finite number"),
        ({"leak": {"n": 5, "mean": 0.1, "var": -0.1}}, "leak"),
        ({"latency_ms": {"bounds": [1, 2], "counts": [1, -1, 1]}}, "latency_ms"),
        ({"latency_ms": {"bounds": [2, 1], "counts": [1, 1, 1]}}, "bounds must rise"),
        ({"latency_ms": {"bounds": [1, 2], "counts": [1]}}, None),
        ({"latency_ms": {"bounds": [1, 2, 3], "counts": [1]}}, "1 counts do not fit 3 bounds"),
        ({"latency_ms": {"bounds": [1, 2], "counts": [5, 8, 10]}}, "must not be cumulated"),
        ({"smiles": {"n": 3, "events": 4}}, "4 events of 3"),
        ({"Smiles!": {"n": 3, "events": 1}}, "Smiles!"),
    ],
)
def test_numbers_that_cannot_be_are_refused_with_their_place(arm: dict[str, Any], message: str | None) -> None:
    if message is None:
        parse_evidence(document(**arm))
        return
    with pytest.raises(BadInputError) as caught:
        parse_evidence(document(**arm))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {},
        {"intervals": [{"seconds": 0, "arms": {}}]},
        {"intervals": [{"seconds": 10, "arms": {"third": {"requests": 1}}}]},
        {"intervals": [{"seconds": 10, "share": 1.5, "arms": {}}]},
        {"intervals": [], "metrics_direction": {"leak": "sideways"}},
        {"pairs": {"leak": {"champion": [0.1], "candidate": [0.1, 0.2]}}},
    ],
)
def test_other_documents_are_refused(wrong: object) -> None:
    with pytest.raises(BadInputError, match="does not validate"):
        parse_evidence(wrong)


NAMES = st.sampled_from(["intervals", "arms", "seconds", "champion", "requests", "leak"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    max_leaves=12,
)


@given(ANYTHING)
def test_whatever_comes_is_taken_or_refused_in_words(anything: object) -> None:
    with contextlib.suppress(BadInputError):
        parse_evidence(anything)


def test_files_are_named_in_errors(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.json"):
        load_evidence(tmp_path / "none.json")
    path = tmp_path / "evidence.json"
    path.write_text("{")
    with pytest.raises(BadInputError, match=r"not JSON; got .*evidence\.json"):
        load_evidence(path)
    path.write_text(json.dumps({"intervals": [{"seconds": -1, "arms": {}}]}))
    with pytest.raises(BadInputError, match=r"evidence\.json: intervals\.0\.seconds"):
        load_evidence(path)
