"""Conditions on a unit's attributes: who may take part.

A condition is a mapping from attributes to values or operators, all of which must hold:

    device: phone                      equal
    region: {in: [eu, us]}             operators: eq ne in nin gt gte lt lte exists regex not
    any:                               one of several conditions (`all`, `none` alike)
      - {plan: pro}
      - {age_days: {gte: 30}}

The names are MongoDB's, with or without the dollar (`$in`, `$or`, `$and`, `$nor`), so that GrowthBook conditions work
as they are. `a.b` reaches into nested attributes. An attribute that is a list matches when one of its items does.
Conditions never fail on a unit: an attribute that is missing or of another type does not match (`ne`, `nin`: does).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from identity_masker.errors import BadInputError

Attributes = Mapping[str, Any]
Condition = Callable[[Attributes], bool]
Test = Callable[[Any], bool]

MISSING = object()
GROUPS = {"any": "any", "or": "any", "all": "all", "and": "all", "none": "none", "nor": "none"}
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
OPERATORS = ("eq", "ne", "in", "nin", *ORDERS, "exists", "regex", "not")


def everyone(_: Attributes) -> bool:
    """The condition that holds for every unit."""
    return True


def compiled(condition: Mapping[str, Any]) -> Condition:
    """`condition` as a function of a unit's attributes. Raises `BadInputError` for what is not a condition."""
    if not isinstance(condition, Mapping):
        raise BadInputError("a targeting condition is not a mapping", got=repr(condition), allowed="attribute: value")
    parts = [_part(str(name), value) for name, value in condition.items()]
    if not parts:
        return everyone
    if len(parts) == 1:
        return parts[0]
    return lambda attributes: all(part(attributes) for part in parts)


def _part(name: str, value: Any) -> Condition:
    plain = name.removeprefix("$")
    if plain in GROUPS and isinstance(value, Sequence) and not isinstance(value, str):
        return _group(GROUPS[plain], [compiled(each) for each in value])
    if plain == "not" and isinstance(value, Mapping):
        inner = compiled(value)
        return lambda attributes: not inner(attributes)
    if name.startswith("$"):
        raise BadInputError("unknown operator in a targeting condition", got=name, allowed=", ".join(GROUPS) + ", not")
    test = _test(name, value)
    if "." not in name:
        return lambda attributes: test(attributes.get(name, MISSING))
    path = name.split(".")
    return lambda attributes: test(_reach(attributes, path))


def _group(kind: str, parts: Sequence[Condition]) -> Condition:
    if kind == "any":
        return lambda attributes: any(part(attributes) for part in parts)
    if kind == "none":
        return lambda attributes: not any(part(attributes) for part in parts)
    return lambda attributes: all(part(attributes) for part in parts)


def _test(attribute: str, value: Any) -> Test:
    if isinstance(value, Mapping):
        tests = [_operator(attribute, str(name).removeprefix("$"), operand) for name, operand in value.items()]
        if not tests:
            raise BadInputError("an empty condition", got=f"{attribute}: {{}}")
        return lambda found: all(test(found) for test in tests)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return lambda found: found == value
    return lambda found: _matches(found, lambda each: _equal(each, value))


def _operator(attribute: str, name: str, operand: Any) -> Test:
    if name not in OPERATORS:
        raise BadInputError(
            "unknown operator in a targeting condition", got=f"{attribute}: {name}", allowed=", ".join(OPERATORS)
        )
    if name in ("in", "nin"):
        return _membership(attribute, operand, wanted=name == "in")
    if name in ORDERS:
        compare = ORDERS[name]
        return lambda found: _matches(found, lambda each: _ordered(each, operand) and compare(each, operand))
    if name == "exists":
        return lambda found: (found is not MISSING and found is not None) == bool(operand)
    if name == "regex":
        return _pattern(attribute, operand)
    inner = _test(attribute, operand)
    return inner if name == "eq" else lambda found: not inner(found)


def _membership(attribute: str, operand: Any, *, wanted: bool) -> Test:
    if not isinstance(operand, Sequence) or isinstance(operand, str):
        raise BadInputError("`in` needs a list", got=f"{attribute}: {operand!r}", allowed="a list of values")
    options = list(operand)
    return lambda found: _matches(found, lambda each: any(_equal(each, option) for option in options)) == wanted


def _pattern(attribute: str, operand: Any) -> Test:
    try:
        pattern = re.compile(operand)
    except (re.error, TypeError) as error:
        raise BadInputError("not a regular expression", got=f"{attribute}: {operand!r}") from error
    return lambda found: _matches(found, lambda each: isinstance(each, str) and pattern.search(each) is not None)


def _matches(found: Any, test: Test) -> bool:
    if isinstance(found, (list, tuple, set, frozenset)):
        return any(test(each) for each in found)
    return test(found)


def _equal(found: Any, value: Any) -> bool:
    # True == 1 in Python; an attribute that is a flag is not the number one.
    return isinstance(found, bool) == isinstance(value, bool) and bool(found == value)


def _ordered(found: Any, operand: Any) -> bool:
    numbers = isinstance(found, (int, float)) and isinstance(operand, (int, float)) and not isinstance(found, bool)
    return numbers or (isinstance(found, str) and isinstance(operand, str))


def _reach(attributes: Attributes, path: Sequence[str]) -> Any:
    found: Any = attributes
    for name in path:
        if not isinstance(found, Mapping) or name not in found:
            return MISSING
        found = found[name]
    return found
