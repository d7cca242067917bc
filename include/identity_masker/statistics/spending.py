"""Alpha spending: how much of a test's error may be used up by the time a share of the information is in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.samples import Floats, one_of, probability

Spending = str | float | Callable[[float, float], float]

NAMES = ("obrien_fleming", "pocock")
ALIASES = {"o_brien_fleming": "obrien_fleming", "obf": "obrien_fleming", "o'brien_fleming": "obrien_fleming"}


def spent(information: ArrayLike, alpha: float, spending: Spending) -> Floats:
    """Error of one side spent at each fraction of information (fractions above 1 count as 1).

    `spending` is `obrien_fleming` (2 - 2Φ(z_{α/2}/√t)), `pocock` (α ln(1 + (e-1)t)), a power k (α t^k), or a
    function of (fraction, alpha). Source: Lan & DeMets, Biometrika 70 (1983) 659-663.
    Raises `BadInputError` for an unknown name, a power that is not above zero, a function that falls or overspends.
    """
    alpha = probability(alpha, "alpha")
    times = np.minimum(np.asarray(information, dtype=np.float64), 1.0)
    used = _used(times, alpha, spending)
    if np.any(np.diff(used) < -1e-15) or np.any(used < 0.0) or used[-1] > alpha * (1.0 + 1e-12):
        raise BadInputError("the spending function falls or spends more than alpha", got=used.tolist())
    return used


def _used(times: Floats, alpha: float, spending: Spending) -> Floats:
    if callable(spending):
        return np.array([float(spending(float(t), alpha)) for t in times])
    if isinstance(spending, str):
        name = spending.strip().lower().replace("-", "_").replace(" ", "_")
        name = one_of(ALIASES.get(name, name), NAMES, "spending function")
        if name == "obrien_fleming":
            return np.asarray(2.0 * stats.norm.sf(stats.norm.isf(alpha / 2.0) / np.sqrt(times)), dtype=np.float64)
        return np.asarray(alpha * np.log1p((np.e - 1.0) * times), dtype=np.float64)
    if isinstance(spending, bool) or not (np.isfinite(spending) and spending > 0.0):
        raise BadInputError("unknown spending function", got=spending, allowed=", ".join(NAMES) + " or a power above 0")
    return np.asarray(alpha * times ** float(spending), dtype=np.float64)
