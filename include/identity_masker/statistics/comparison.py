"""Always-valid comparison of a canary with a champion: is it worse, and is it not worse than a margin?

Two e-values are kept per stream. `worse` is evidence against "the effect is at most the tolerance", `not_worse`
against "the effect is at least the margin". One may look after every batch: while the null holds, an e-value ever
passes 1/alpha with probability at most alpha. The effect is the log ratio of the levels (counts), or a difference.

For counts the test conditions on the events of both arms together (Lindon & Malek, NeurIPS 2022, arXiv 2011.03567):
an incident that both arms share cancels, whatever it does over time. The numerator is a mixture over effects, kinds of
noise and times of onset; the denominator is the null's likelihood under the kind of noise that explains the data best
(universal inference, Wasserman, Ramdas & Balakrishnan, PNAS 2020), less the cost of that kind (`arm_noise`). The log
is divided by the burst factor of `dispersion`, which is never below 1 and so never helps to reject.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError
from identity_masker.statistics.arm_noise import NoiseFilter, NoiseGrid
from identity_masker.statistics.dispersion import Dispersion

Floats = NDArray[np.float64]

# Alternatives as multiples of the margin, with their prior weights. A narrow margin gets one far alternative more.
WORSE = (0.5, 0.7, 0.9, 1.1, 1.3, 1.55, 1.85, 2.2, 2.7, 3.3)
WORSE_WEIGHTS = (0.4, 0.6, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.8)
FAR, FAR_WEIGHT, NARROW = (4.5, 6.5, 10.0), (0.6, 0.5, 0.4), 0.5
BETTER, BETTER_WEIGHTS = (0.0, 0.4, -0.7), (3.0, 1.0, 1.0)
NO_NOISE_WEIGHT = 0.8
# Share of the capital that bets on an effect which sets in later, and the scale of the onset in looks.
LATE, ONSET = 0.1, 10.0


class Comparison:
    """The two e-values of many streams, updated look by look."""

    def __init__(self, streams: int, margin: float, noise: NoiseGrid, tolerance: float = 0.0) -> None:
        if not 0.0 <= tolerance < margin:
            raise BadInputError(
                "margin and tolerance are out of order", got=(tolerance, margin), allowed="0 ≤ tolerance < margin"
            )
        unit = margin - tolerance
        far = () if unit >= NARROW else FAR
        worse = tolerance + unit * np.array(WORSE + far)
        better = margin - unit + unit * np.array(BETTER)
        self._filter = NoiseFilter(streams, np.concatenate([[tolerance, margin], worse, better]), noise)
        self._worse_prior = joint_prior(WORSE_WEIGHTS + FAR_WEIGHT[: len(far)], noise)
        self._better_prior = joint_prior(BETTER_WEIGHTS, noise)
        self._onset = _Onset(streams, worse.size)
        self._dispersion = Dispersion(streams)

    def counts(
        self,
        canary: Floats,
        champion: Floats,
        canary_exposure: Floats,
        champion_exposure: Floats,
        gain: Floats | None = None,
        elapsed: float = 1.0,
    ) -> None:
        """Take in event counts and exposures of one look, each of shape (streams,). See `NoiseFilter.counts`."""
        self._filter.counts(canary, champion, canary_exposure, champion_exposure, gain, elapsed)
        self._dispersion.update([(canary, canary_exposure), (champion, champion_exposure)])
        self._onset.update(self._without_noise())

    def shift(self, difference: Floats, variance: Floats, elapsed: float = 1.0) -> None:
        """Take in one look at a difference of means and its sampling variance."""
        self._filter.shift(difference, variance, elapsed)
        self._onset.update(self._without_noise())

    @property
    def burst_factor(self) -> Floats:
        """What the log e-values are divided by, see `dispersion`; shape (streams,)."""
        return self._dispersion.factor

    @property
    def log_worse(self) -> Floats:
        """Log e-value against "at most the tolerance", shape (streams,)."""
        end = 2 + self._worse_prior.shape[0]
        likelihood = self._filter.log_likelihood
        steady = log_mean(likelihood[:, 2:end], self._worse_prior)
        null = likelihood[:, 0, 0]
        late = null + self._onset.log_mean(self._worse_prior.sum(axis=1))
        mixture = np.logaddexp(np.log1p(-LATE) + steady, np.log(LATE) + late)
        result: Floats = (mixture - self._best_null(0)) / self._dispersion.factor
        return result

    @property
    def log_not_worse(self) -> Floats:
        """Log e-value against "at least the margin", shape (streams,)."""
        start = 2 + self._worse_prior.shape[0]
        steady = log_mean(self._filter.log_likelihood[:, start:], self._better_prior)
        result: Floats = (steady - self._best_null(1)) / self._dispersion.factor
        return result

    def _best_null(self, effect: int) -> Floats:
        result: Floats = np.max(self._filter.log_likelihood[:, effect] - self._filter.noise.cost, axis=-1)
        return result

    def _without_noise(self) -> Floats:
        likelihood = self._filter.log_likelihood[:, :, 0]
        result: Floats = likelihood[:, 2 : 2 + self._worse_prior.shape[0]] - likelihood[:, :1]
        return result


class _Onset:
    """Mixture over the look s from which on an effect is there, with P(s) = ONSET / ((s + ONSET - 1)(s + ONSET))."""

    def __init__(self, streams: int, effects: int) -> None:
        self._begun = np.full((streams, effects), -np.inf)
        self._cumulated = np.zeros((streams, effects))
        self._looks = 0

    def update(self, cumulated: Floats) -> None:
        """`cumulated`: log likelihood ratios of the effects over all looks so far."""
        self._looks += 1
        step, self._cumulated = cumulated - self._cumulated, cumulated.copy()
        start = np.log(ONSET / ((self._looks + ONSET - 1.0) * (self._looks + ONSET)))
        self._begun = np.logaddexp(self._begun, start) + step

    def log_mean(self, prior: Floats) -> Floats:
        not_begun = np.log(ONSET / (self._looks + ONSET))
        return np.logaddexp(log_mean(self._begun, prior), not_begun)


def joint_prior(weights: tuple[float, ...], noise: NoiseGrid) -> Floats:
    """Joint prior of effects and kinds of noise, shape (effects, kinds)."""
    kinds = noise.sd.size
    over_noise = np.full(kinds, (1.0 - NO_NOISE_WEIGHT) / max(kinds - 1, 1))
    over_noise[0] = NO_NOISE_WEIGHT if kinds > 1 else 1.0
    effects = np.array(weights)
    return np.outer(effects / effects.sum(), over_noise)


def log_mean(logs: Floats, weights: Floats) -> Floats:
    """Log of the weighted sum of exp(logs) over all axes but the first."""
    flat, prior = logs.reshape(logs.shape[0], -1), weights.ravel()
    largest = flat.max(axis=1)
    anchor = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        result: Floats = anchor + np.log(np.exp(flat - anchor[:, None]) @ prior)
    return result
