"""Likelihood of what two arms of a rollout show, when each arm's level also wanders by itself.

Two arms that serve the same version never run at exactly the same level: another node, another cache, another mix of
pictures. That noise is shared by all requests of an interval and lasts over intervals, so that no number of requests
averages it away. Here the log ratio of the levels is `effect + u`, where u is a Gaussian AR(1) sequence, and the
likelihood follows from a Kalman filter, for counts with the Laplace approximation in each step.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from identity_masker.errors import BadInputError

Floats = NDArray[np.float64]

# Largest step of Newton's method on the log scale, and the number of steps: enough from any start within e^±5.
STEP, STEPS = 1.0, 5
# Wander as multiples of the expected one, and the log-likelihood that each has to make up before it counts: noise
# above the expected is believed when the data show it, not before.
MULTIPLES = ((0.35, 0.2), (1.0, 0.8), (1.4, 2.5), (2.0, 4.5), (3.5, 6.0), (6.0, 6.0))
PERSISTENCE_COST = 0.5


class NoiseGrid(NamedTuple):
    """Kinds of noise: standard deviation of u, correlation, whether that is a look's or the clock's, and its cost."""

    sd: Floats
    correlation: Floats
    by_clock: NDArray[np.bool_]
    cost: Floats


def noise_grid(sd: float, correlation: float) -> NoiseGrid:
    """The kinds of noise to reckon with when the level of each arm wanders with relative deviation `sd`.

    `correlation` is that over one unit of time; for looks that are closer together it is reckoned with both per
    look and per unit of time. The first kind is no noise at all.
    """
    if not (0.0 <= sd < math.inf and 0.0 <= correlation < 1.0):
        raise BadInputError("the noise is out of range", got=(sd, correlation), allowed="sd ≥ 0, 0 ≤ correlation < 1")
    rows = [(0.0, 0.0, False, 0.0)]
    for multiple, cost in MULTIPLES if sd > 0.0 else ():
        size = math.sqrt(2.0) * sd * multiple
        rows.append((size, correlation, False, cost))
        rows.append((size, correlation, True, cost + (PERSISTENCE_COST if multiple > 1.0 else 0.0)))
    deviations, correlations, by_clock, costs = zip(*rows, strict=True)
    return NoiseGrid(np.array(deviations), np.array(correlations), np.array(by_clock), np.array(costs))


class NoiseFilter:
    """Log-likelihood of a stream of looks for each effect and each kind of noise, for many streams at once.

    `log_likelihood` has shape (streams, effects, kinds of noise), relative to effect 0 without noise.
    """

    def __init__(self, streams: int, effects: Floats, noise: NoiseGrid) -> None:
        self.effects = np.asarray(effects, dtype=np.float64)[:, None]
        self.noise = noise
        shape = (streams, self.effects.shape[0], noise.sd.size)
        self.log_likelihood = np.zeros(shape)
        self._mean = np.zeros(shape)
        self._variance = np.broadcast_to(noise.sd**2, shape).copy()

    def counts(
        self,
        canary: Floats,
        champion: Floats,
        canary_exposure: Floats,
        champion_exposure: Floats,
        gain: Floats | None = None,
        elapsed: float = 1.0,
    ) -> None:
        """Take in one look at event counts (may be fractional); each argument has shape (streams,).

        Given all events of the look, those of the canary are binomial with log odds
        `log(canary_exposure / champion_exposure) + gain · (effect + u)`: a level that both arms share cancels.
        `gain` is 1 unless effects are measured on another scale than the events' own log ratio; `elapsed` is the
        time that the look covers, in the units of the noise's correlation.
        """
        events = canary + champion
        rows = np.flatnonzero((events > 0.0) & (canary_exposure > 0.0) & (champion_exposure > 0.0))
        if rows.size:
            odds = np.log(canary_exposure[rows] / champion_exposure[rows])
            slope = np.ones(rows.size) if gain is None else gain[rows]
            look = _Look(*(part[:, None, None] for part in (canary[rows], events[rows], odds, slope)))
            self._condition(rows, look)
        self._wander(elapsed)

    def shift(self, difference: Floats, variance: Floats, elapsed: float = 1.0) -> None:
        """Take in one look at a difference of means with known sampling variance; NaN where a stream has no data."""
        rows = np.flatnonzero(np.isfinite(difference) & np.isfinite(variance))
        if rows.size:
            seen, spread = difference[rows, None, None], variance[rows, None, None]
            mean, before = self._mean[rows], self._variance[rows]
            total = before + spread
            surprise = (seen - self.effects - mean) ** 2 / total - seen**2 / spread
            self.log_likelihood[rows] -= 0.5 * (surprise + np.log(total / spread))
            self._mean[rows] = mean + before / total * (seen - self.effects - mean)
            self._variance[rows] = before * spread / total
        self._wander(elapsed)

    def _condition(self, rows: NDArray[np.intp], look: _Look) -> None:
        mean, variance = self._mean[rows], self._variance[rows]
        centre, u = look.odds + look.gain * self.effects, mean.copy()
        for _ in range(STEPS if np.any(variance > 0.0) else 0):
            share = expit(centre + look.gain * u)
            slope = look.gain * (look.canary - look.events * share)
            curvature = look.gain**2 * look.events * share * (1.0 - share)
            step = (variance * slope - (u - mean)) / (1.0 + variance * curvature)
            u += np.clip(step, -STEP / look.gain, STEP / look.gain)
        logit = centre + look.gain * u
        share = expit(logit)
        curvature = look.gain**2 * look.events * share * (1.0 - share)
        away = np.where(variance > 0.0, (u - mean) ** 2 / np.where(variance > 0.0, variance, 1.0), 0.0)
        log_partition = np.logaddexp(0.0, logit) - np.logaddexp(0.0, look.odds)
        self.log_likelihood[rows] += look.canary * (logit - look.odds) - look.events * log_partition
        self.log_likelihood[rows] -= 0.5 * (away + np.log1p(variance * curvature))
        self._mean[rows] = u
        self._variance[rows] = variance / (1.0 + variance * curvature)

    def _wander(self, elapsed: float) -> None:
        keep = self.noise.correlation ** np.where(self.noise.by_clock, min(elapsed, 1.0), 1.0)
        self._mean *= keep
        self._variance *= keep**2
        self._variance += (1.0 - keep**2) * self.noise.sd**2


class _Look(NamedTuple):
    """Counts of one look, ready to broadcast against (streams, effects, kinds of noise)."""

    canary: Floats
    events: Floats
    odds: Floats
    gain: Floats
