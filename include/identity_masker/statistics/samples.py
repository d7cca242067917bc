"""Checks at the door: arrays and numbers that a statistic can be computed from, or an error that says why not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identity_masker.errors import BadInputError

Floats = NDArray[np.float64]


def sample(values: ArrayLike, name: str, *, at_least: int = 1) -> Floats:
    """`values` as a 1-D float64 array of finite numbers.

    Raises `BadInputError` for anything else: text, more than one axis, NaN, infinity, too few values.
    """
    array = _as_floats(values, name)
    if array.ndim != 1:
        raise BadInputError(f"{name} is not a list of numbers", got=f"shape {array.shape}", allowed="one axis")
    if array.size < at_least:
        raise BadInputError(f"{name} has too few values", got=array.size, allowed=f"at least {at_least}")
    _refuse_not_finite(array, name)
    return array


def rows(values: ArrayLike, name: str, *, at_least: int = 1) -> Floats:
    """`values` as a 2-D float64 array (observations, dimensions); a 1-D array becomes one column."""
    array = _as_floats(values, name)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise BadInputError(f"{name} is not a table", got=f"shape {array.shape}", allowed="(observations, dimensions)")
    if array.shape[0] < at_least:
        raise BadInputError(f"{name} has too few rows", got=array.shape[0], allowed=f"at least {at_least}")
    _refuse_not_finite(array, name)
    return array


def counts(values: ArrayLike, name: str) -> Floats:
    """`values` as float64, checked to be whole numbers of zero or more."""
    array = _as_floats(values, name)
    _refuse_not_finite(array, name)
    if np.any(array < 0) or np.any(array != np.floor(array)):
        raise BadInputError(f"{name} are not counts", got=array.tolist(), allowed="whole numbers of zero or more")
    return array


def probability(value: float, name: str) -> float:
    """`value` checked to lie strictly between 0 and 1."""
    if not 0.0 < value < 1.0:
        raise BadInputError(f"{name} is out of range", got=value, allowed="a number between 0 and 1, ends excluded")
    return float(value)


def p_values(values: ArrayLike) -> Floats:
    """`values` checked to be p-values: 1-D, in [0, 1]."""
    array = sample(values, "the p-values")
    if np.any((array < 0) | (array > 1)):
        raise BadInputError("p-values are out of range", got=array.tolist(), allowed="numbers from 0 to 1")
    return array


def one_of(value: str, names: Sequence[str], what: str) -> str:
    """`value` with `-` read as `_`, checked to be one of `names`."""
    name = value.strip().lower().replace("-", "_").replace(" ", "_")
    if name not in names:
        raise BadInputError(f"unknown {what}", got=repr(value), allowed="one of " + ", ".join(names))
    return name


def _as_floats(values: ArrayLike, name: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{name} holds something that is not a number", got=_short(values)) from error


def _refuse_not_finite(array: Floats, name: str) -> None:
    wrong = np.count_nonzero(~np.isfinite(array))
    if wrong:
        raise BadInputError(
            f"{name} holds values that are not finite",
            got=f"{wrong} of {array.size} NaN or infinite",
            fix="drop or repair them, and report how many there were",
        )


def _short(values: Any, limit: int = 80) -> str:
    text = repr(values)
    return text if len(text) <= limit else text[:limit] + "…"
