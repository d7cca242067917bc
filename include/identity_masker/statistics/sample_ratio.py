"""Did the units arrive in the shares that were asked for? A test for one look, and one for any number of looks.

Arms with weight 0 take no part: their counts are left out, as they say nothing of the ratio between the others.
That such an arm has units at all is a fault of its own, which the health check of an experiment reports.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import gammaln

from identity_masker.errors import BadInputError
from identity_masker.statistics.samples import Floats, counts

# Prior sample sizes of the mixture: small ones catch gross faults at once, large ones faint faults at large samples.
CONCENTRATIONS = (100.0, 1_000.0, 10_000.0, 100_000.0)
LARGEST_LOG = 709.0


class RatioPath(NamedTuple):
    """The sequential test after each row: log e-value, and the p-value valid at any time (1 / largest e-value)."""

    log_e_values: Floats
    p_values: Floats


def chi_square(counts_by_arm: ArrayLike, weights: ArrayLike) -> float:
    """p-value of Pearson's chi-square test of the counts against the weights, for one look at the data.

    1 when there is nothing to compare: no units, or one arm with weight. Weights need not sum to 1.
    """
    observed = counts(counts_by_arm, "the counts")
    shares = _shares(weights, observed.shape)
    observed, shares = observed[shares > 0], shares[shares > 0]
    total = float(observed.sum())
    if total == 0.0 or shares.size < 2:
        return 1.0
    expected = total * shares / shares.sum()
    return float(stats.chi2.sf(np.sum((observed - expected) ** 2 / expected), shares.size - 1))


def sequential(count_rows: ArrayLike, weights: ArrayLike, *, prior: ArrayLike | None = None) -> float:
    """e-value of a sample-ratio fault after all rows; one may look after every row.

    A row holds the new units of each arm since the row before; `weights` is one row for all, or one row each, so
    that weights may change from row to row. While the split is right the expected value is at most 1 at any time,
    and P(ever ≥ 1/alpha) ≤ alpha. See `sequential_path`. Values above 1e307 are returned as 1e307.
    """
    return math.exp(min(float(sequential_path(count_rows, weights, prior=prior).log_e_values[-1]), LARGEST_LOG - 2.0))


def sequential_path(count_rows: ArrayLike, weights: ArrayLike, *, prior: ArrayLike | None = None) -> RatioPath:
    """The sequential test after each row.

    For constant weights and one `prior` this is the Bayes factor of a Dirichlet-multinomial against the asked shares
    (Lindon & Malek, NeurIPS 2022, arXiv 2011.03567). For changing weights each row is predicted by a Dirichlet
    centred on the row's weights tilted by what earlier rows showed of observed against expected, which is a
    nonnegative martingale too. Without `prior` (pseudo-counts, one an arm): the average over several strengths,
    centred on the weights.
    """
    observed = np.atleast_2d(counts(count_rows, "the counts"))
    if observed.ndim != 2 or observed.size == 0:
        raise BadInputError("the counts are not a table", got=f"shape {observed.shape}", allowed="(rows, arms)")
    shares = np.broadcast_to(_shares(weights, observed.shape), observed.shape)
    used = np.where(shares > 0, observed, 0.0)
    if prior is None:
        paths = np.array([_log_path(used, shares, strength * shares) for strength in CONCENTRATIONS])
        largest = paths.max(axis=0)
        logs = largest + np.log(np.mean(np.exp(paths - largest), axis=0))
    else:
        logs = _log_path(used, shares, np.broadcast_to(_prior(prior, observed.shape[1]), observed.shape))
    return RatioPath(logs, np.exp(-np.maximum(np.maximum.accumulate(logs), 0.0)))


def log_marginals(count_rows: ArrayLike, weights: ArrayLike, prior: ArrayLike) -> Floats:
    """Log probability of the sequence of units under the alternative and under the asked shares, after each row.

    Returns (rows, 2). For constant weights only.
    """
    observed = np.atleast_2d(counts(count_rows, "the counts"))
    shares = _shares(weights, (observed.shape[1],))
    total, pseudo = np.cumsum(observed, axis=0), _prior(prior, observed.shape[1])
    under_null = total[:, shares > 0] @ np.log(shares[shares > 0])
    alternative = gammaln(pseudo.sum()) - gammaln(pseudo.sum() + total.sum(axis=1))
    alternative = alternative + np.sum(gammaln(pseudo + total) - gammaln(pseudo), axis=1)
    return np.column_stack([alternative, under_null])


def _log_path(observed: Floats, shares: Floats, prior: Floats) -> Floats:
    """Cumulated log likelihood ratios of the rows, each predicted from the rows before."""
    before = np.cumsum(observed, axis=0) - observed
    sizes = observed.sum(axis=1, keepdims=True)
    expected = np.cumsum(sizes * shares, axis=0) - sizes * shares
    strength = prior.sum(axis=1, keepdims=True)
    open_arm = shares > 0
    # Observed over expected so far, shrunk to the prior; constant weights give (prior + before) / total.
    tilt = np.where(open_arm, (prior + before) / np.where(open_arm, strength * shares + expected, 1.0), 0.0)
    pseudo = tilt * shares
    pseudo = pseudo / pseudo.sum(axis=1, keepdims=True) * (strength + np.cumsum(sizes, axis=0) - sizes)
    safe = np.where(open_arm, pseudo, 1.0)
    arms = np.where(open_arm, gammaln(safe + observed) - gammaln(safe), 0.0).sum(axis=1)
    whole = gammaln(pseudo.sum(axis=1)) - gammaln(pseudo.sum(axis=1) + sizes[:, 0])
    null = np.where(open_arm, observed * np.log(np.where(open_arm, shares, 1.0)), 0.0).sum(axis=1)
    return np.cumsum(arms + whole - null)


def _shares(weights: ArrayLike, shape: tuple[int, ...]) -> Floats:
    shares = np.asarray(weights, dtype=np.float64)
    if shares.shape[-1:] != shape[-1:] or (shares.ndim == 2 and shares.shape != shape) or shares.ndim > 2:
        raise BadInputError("weights and counts differ in shape", got=f"weights {shares.shape}, counts {shape}")
    if not np.all(np.isfinite(shares)) or np.any(shares < 0.0) or np.any(shares.sum(axis=-1) <= 0.0):
        raise BadInputError(
            "weights are out of range", got=shares.tolist(), allowed="numbers of zero or more, not all 0"
        )
    result: Floats = shares / shares.sum(axis=-1, keepdims=True)
    return result


def _prior(prior: ArrayLike, arms: int) -> Floats:
    pseudo = np.asarray(prior, dtype=np.float64)
    if pseudo.shape != (arms,) or not np.all(np.isfinite(pseudo)) or np.any(pseudo <= 0.0):
        raise BadInputError("the prior is not usable", got=pseudo.tolist(), allowed=f"{arms} numbers above zero")
    return pseudo
