from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from identity_masker.faces.rules import Rule


def rule(**asked: Any) -> Rule:
    return Rule.model_validate({"column": "brightness", "severity": "warn", "why": "w", "fix": "f", **asked})


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"between": (0.1, 0.9), "mostly": 0.95}, "brightness between 0.1 and 0.9 in 95.0% of the rows"),
        ({"between": (None, 5)}, "brightness at most 5"),
        ({"mean_between": (2, None)}, "mean of brightness at least 2"),
        ({"unique": True}, "no brightness twice"),
        ({"one_of": ("a", "b")}, "brightness one of a, b"),
    ],
)
def test_a_rule_says_what_it_asks(asked: dict[str, Any], words: str) -> None:
    assert rule(**asked).asks() == words


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "exactly one of"),
        ({"unique": True, "between": (0, 1)}, "exactly one of"),
        ({"between": (None, None)}, "a lower or an upper end"),
        ({"between": (2, 1)}, "the range is empty: 2 to 1"),
        ({"unique": True, "severity": "shout"}, "'warn' or 'stop'"),
        ({"unique": True, "mostly": 0}, "greater than 0"),
        ({"unique": True, "colour": 1}, "Extra inputs"),
    ],
)
def test_rules_that_ask_nothing_sensible_are_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        rule(**asked)
