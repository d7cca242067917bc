"""What Flagger, Argo Rollouts and Kayenta would have said, restated from their published rules.

The rules are in the table of docs/release.md; versions and sources in the research that this project started from.
"""

from __future__ import annotations

import numpy as np
from benchmarks.release_judge.worlds import SHARES, TICKS, Counts, World, draw
from numpy.typing import NDArray
from scipy import optimize, stats

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEVER = np.inf
HIGHEST_ERROR_SHARE = 0.01
FLAGGER_THRESHOLD, ARGO_FAILURE_LIMIT = 5, 3
KAYENTA_TOLERANCE, KAYENTA_CONFIDENCE, KAYENTA_SOLVER = 0.25, 0.98, 1e-4


def failed(errors: Ints | Floats, requests: Ints | Floats) -> NDArray[np.bool_]:
    """A check on the success share of one window: below 99 %, or no request at all (NaN fails)."""
    return np.where(requests > 0, errors > HIGHEST_ERROR_SHARE * requests, True)


def flagger(rng: np.random.Generator, levels: World, requests: int, threshold: int = FLAGGER_THRESHOLD) -> Floats:
    """Intervals until the rollback of each run, infinite without one.

    A passed check raises the weight, a failed one repeats it; failures are counted and never forgotten. The rollout
    ends with the threshold-th failure or the tenth pass.
    """
    runs = levels.canary.shape[0]
    step, failures, ended = np.zeros(runs, dtype=int), np.zeros(runs, dtype=int), np.full(runs, NEVER)
    for interval in range(SHARES.size + threshold - 1):
        open_ = (step < SHARES.size) & (failures < threshold)
        arrived = rng.binomial(requests, SHARES[np.minimum(step, SHARES.size - 1)])
        bad = failed(draw(rng, levels.canary[:, interval], arrived, levels.burst), arrived)
        failures += open_ & bad
        step += open_ & ~bad
        ended[open_ & (failures == threshold)] = interval + 1
    return ended


def argo(counts: Counts, limit: int = ARGO_FAILURE_LIMIT) -> Floats:
    """Intervals until the abort of each run: one measurement an interval, aborted when failures exceed the limit."""
    whole = counts.every(TICKS)
    failures = np.cumsum(failed(whole.canary, whole.canary_requests), axis=1)
    return first(failures > limit)


def kayenta(counts: Counts) -> Floats:
    """Intervals until the first failed judgement of each run, one judgement an interval on a growing window.

    The metric is the error percentage of a tenth of an interval, control the champion; direction increase, critical.
    """
    runs, looks = counts.canary.shape
    with np.errstate(divide="ignore", invalid="ignore"):
        canary = 100.0 * counts.canary / counts.canary_requests
        champion = 100.0 * counts.champion / counts.champion_requests
    ended = np.full(runs, NEVER)
    for run in range(runs):
        for interval in range(1, looks // TICKS + 1):
            if _is_high(canary[run, : interval * TICKS], champion[run, : interval * TICKS]):
                ended[run] = interval
                break
    return ended


def kayenta_series(experiment: Floats, control: Floats, looks: list[int]) -> NDArray[np.bool_]:
    """Whether each run is judged High at each of the looks; one series a row, growing window."""
    rows = zip(experiment, control, strict=True)
    return np.array([[_is_high(x[:look], y[:look]) for look in looks] for x, y in rows])


def is_high(experiment: Floats, control: Floats) -> bool:
    """Kayenta's judgement High for direction increase: lower end of the interval of the shift above the tolerance.

    The interval comes from the rank sum as a function of the shift, solved to an absolute tolerance of 1e-4.
    """
    x, y = experiment[~np.isnan(experiment)], control[~np.isnan(control)]
    if _trivial(x, y):
        return False
    if np.mean(y) != 0.0 and np.mean(x) != 0.0 and np.mean(x) / np.mean(y) < 1.0:
        return False
    lower, _, estimate = shift_interval(*_separated(x, y))
    return bool(lower > KAYENTA_TOLERANCE * abs(estimate))


def shift_interval(x: Floats, y: Floats, confidence: float = KAYENTA_CONFIDENCE) -> tuple[float, float, float]:
    """Lower and upper end and estimate of the shift x - y."""
    low, high = float(x.min() - y.max()), float(x.max() - y.min())
    z = float(stats.norm.isf((1.0 - confidence) / 2.0))

    def statistic(shift: float, quantile: float, corrected: bool) -> float:
        ranks = stats.rankdata(np.concatenate([x - shift, y]))
        away = float(ranks[: x.size].sum()) - x.size * (x.size + 1) / 2.0 - x.size * y.size / 2.0
        _, ties = np.unique(ranks, return_counts=True)
        n = x.size + y.size
        spread = np.sqrt(x.size * y.size / 12.0 * (n + 1 - np.sum(ties**3 - ties) / (n * (n - 1))))
        return (away - (0.5 * np.sign(away) if corrected else 0.0)) / float(spread) - quantile

    def root(quantile: float, corrected: bool) -> float:
        if statistic(low, quantile, corrected) <= 0.0:
            return low
        if statistic(high, quantile, corrected) >= 0.0:
            return high
        return float(optimize.brentq(statistic, low, high, args=(quantile, corrected), xtol=KAYENTA_SOLVER))

    return root(z, True), root(-z, True), root(0.0, False)


def first(hit: NDArray[np.bool_]) -> Floats:
    """1-based position of the first hit in each row, infinite without one."""
    return np.where(hit.any(axis=1), hit.argmax(axis=1) + 1.0, NEVER)


def _is_high(experiment: Floats, control: Floats) -> bool:
    """`is_high` with the interval from order statistics of the differences: the same up to the solver's 1e-4."""
    x, y = experiment[~np.isnan(experiment)], control[~np.isnan(control)]
    if _trivial(x, y) or (np.mean(y) != 0.0 and np.mean(x) != 0.0 and np.mean(x) < np.mean(y)):
        return False
    x, y = _separated(x, y)
    differences = (x[:, None] - y[None, :]).ravel()
    n, pairs = x.size + y.size, differences.size
    # At a shift that is no difference of two values there are ties within an arm only.
    ties = np.concatenate([np.unique(arm, return_counts=True)[1] for arm in (x, y)])
    spread = np.sqrt(pairs / 12.0 * (n + 1 - np.sum(ties**3 - ties) / (n * (n - 1))))
    rank = int(np.ceil(stats.norm.isf((1.0 - KAYENTA_CONFIDENCE) / 2.0) * spread + pairs / 2.0 + 0.5))
    if rank > pairs or np.count_nonzero(differences > 0.0) < rank:
        return False
    lower = np.partition(differences, pairs - rank)[pairs - rank]
    return bool(lower > KAYENTA_TOLERANCE * abs(float(np.median(differences))))


def _separated(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """When each arm is constant: the arms with noise of 1e-5 of their value."""
    if np.ptp(x) > 0.0 or np.ptp(y) > 0.0:
        return x, y
    noise = np.random.default_rng(0).normal(size=x.size + y.size)
    return x * (1.0 + 1e-5 * noise[: x.size]), y * (1.0 + 1e-5 * noise[x.size :])


def _trivial(x: Floats, y: Floats) -> bool:
    """Cases in which Kayenta passes without a test."""
    if x.size == 0 or y.size == 0:
        return True
    return bool(np.unique(np.concatenate([x, y])).size == 1 or np.array_equal(np.sort(x), np.sort(y)))
