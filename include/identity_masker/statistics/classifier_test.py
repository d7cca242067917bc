"""Can a classifier tell two samples of vectors apart? A test, the size of the difference, and which rows show it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.distances import Estimate
from identity_masker.statistics.samples import Floats, probability, rows

FOLDS = 5
RIDGE = 1e-2
FARTHEST = 5.0
PERMUTATIONS_AT_ONCE = 250
# Beyond so many dimensions squares add more noise than they tell.
MOST_SQUARED = 256


class ClassifierTest(NamedTuple):
    """Permutation p-value, area under the ROC curve with its interval, and how much each row of `b` looks unlike `a`.

    `scores` (m,): what the classifier, fitted on other rows, says of each row of `b`; high means unlike `a`.
    """

    p_value: float
    area: Estimate
    scores: Floats


def classifier_test(
    a: ArrayLike, b: ArrayLike, permutations: int = 999, seed: int = 0, *, confidence: float = 0.95
) -> ClassifierTest:
    """Classifier two-sample test of samples (observations, dimensions), by ridge regression on values and squares.

    Five folds, each scored by the fit on the other four; the statistic is the difference of the mean scores. Labels
    are permuted within folds, all of them in one matrix product, so that each permutation is fitted anew and
    p = (1 + #{permuted ≥ observed}) / (permutations + 1) is exact. Sources: Lopez-Paz & Oquab, ICLR 2017; Kim,
    Ramdas, Singh & Wasserman, Ann. Statist. 49 (2021) 411-434.
    """
    first, second = rows(a, "a", at_least=2 * FOLDS), rows(b, "b", at_least=2 * FOLDS)
    if first.shape[1] != second.shape[1]:
        raise BadInputError("the samples differ in dimensions", got=f"{first.shape[1]} and {second.shape[1]}")
    if permutations < 1:
        raise BadInputError("too few permutations", got=permutations, allowed="at least 1")
    features = _features(np.vstack([first, second]))
    labels = np.repeat([0.0, 1.0], [len(first), len(second)])
    rng = np.random.default_rng(seed)
    folds = _folds(labels, rng)
    scored = _Scorer(features, folds)
    scores = scored.scores(labels[:, None])
    observed = float(_separation(scores, labels[:, None])[0])
    reached = 0
    for start in range(0, permutations, PERMUTATIONS_AT_ONCE):
        permuted = _permuted(labels, folds, min(PERMUTATIONS_AT_ONCE, permutations - start), rng)
        separation = _separation(scored.scores(permuted), permuted)
        reached += int(np.count_nonzero(separation >= observed - 1e-6 * abs(observed)))
    own = scores[:, 0].astype(np.float64)
    area = roc_area(own[: len(first)], own[len(first) :], confidence)
    return ClassifierTest((1.0 + reached) / (permutations + 1.0), area, own[len(first) :])


def roc_area(negatives: ArrayLike, positives: ArrayLike, confidence: float = 0.95) -> Estimate:
    """P(positive > negative) + P(equal)/2 with DeLong's interval (Biometrics 44 (1988) 837-845), on the logit scale."""
    low, high = np.asarray(negatives, dtype=np.float64), np.asarray(positives, dtype=np.float64)
    ranks = stats.rankdata(np.concatenate([low, high]))
    above = (ranks[low.size :] - stats.rankdata(high)) / low.size
    below = 1.0 - (ranks[: low.size] - stats.rankdata(low)) / high.size
    area = float(np.mean(above))
    variance = float(np.var(above, ddof=1)) / high.size + float(np.var(below, ddof=1)) / low.size
    if not 0.0 < area < 1.0 or variance == 0.0:
        return Estimate(area, area, area)
    half = float(stats.norm.isf((1.0 - probability(confidence, "the confidence")) / 2.0)) * math.sqrt(variance)
    spread, centre = half / (area * (1.0 - area)), math.log(area / (1.0 - area))
    return Estimate(area, 1.0 / (1.0 + math.exp(spread - centre)), 1.0 / (1.0 + math.exp(-spread - centre)))


class _Scorer:
    """Out-of-fold ridge scores for many label vectors at once."""

    def __init__(self, features: NDArray[np.float32], folds: NDArray[np.intp]) -> None:
        self.features, self.folds = features, folds
        self.parts = [features[folds == fold] for fold in range(FOLDS)]
        gram = features.T.astype(np.float64) @ features
        penalty = RIDGE * len(features) * np.eye(gram.shape[0])
        penalty[0, 0] = 1e-9  # the intercept is free
        self.inverses = [
            np.linalg.inv(gram - part.T.astype(np.float64) @ part + penalty).astype(np.float32) for part in self.parts
        ]

    def scores(self, labels: NDArray[np.float64]) -> NDArray[np.float32]:
        """Scores (N, P) of the rows for each column of `labels` (N, P)."""
        single = labels.astype(np.float32)
        products = [part.T @ single[self.folds == fold] for fold, part in enumerate(self.parts)]
        everything = np.sum(products, axis=0)
        result = np.empty_like(single)
        for fold, part in enumerate(self.parts):
            result[self.folds == fold] = part @ (self.inverses[fold] @ (everything - products[fold]))
        return result


def _features(pooled: Floats) -> NDArray[np.float32]:
    """One, the values in robust units, and their squares when there are not too many dimensions.

    Values are cut at five units: a few far rows must not decide the fit, and still lie at its end.
    """
    values = np.clip(_robust(pooled), -FARTHEST, FARTHEST)
    parts = [np.ones((len(values), 1)), values]
    if values.shape[1] <= MOST_SQUARED:
        parts.append(_standardised(values**2))
    return np.hstack(parts).astype(np.float32)


def _robust(values: Floats) -> Floats:
    """Deviations from the median in units of IQR / 1.349, or of the standard deviation where that is 0."""
    lower, middle, upper = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    spread = np.where(upper > lower, (upper - lower) / 1.349, values.std(axis=0))
    return np.asarray(np.divide(values - middle, spread, out=np.zeros_like(values), where=spread > 1e-12))


def _standardised(values: Floats) -> Floats:
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    result: Floats = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-12)
    return result


def _folds(labels: Floats, rng: np.random.Generator) -> NDArray[np.intp]:
    """A fold for each row, with the same share of both groups in each."""
    folds = np.empty(labels.size, dtype=np.intp)
    for group in (0.0, 1.0):
        members = np.flatnonzero(labels == group)
        folds[members] = rng.permutation(members.size) % FOLDS
    return folds


def _permuted(labels: Floats, folds: NDArray[np.intp], count: int, rng: np.random.Generator) -> Floats:
    result = np.empty((labels.size, count))
    for fold in range(FOLDS):
        members = np.flatnonzero(folds == fold)
        for column in range(count):
            result[members, column] = rng.permutation(labels[members])
    return result


def _separation(scores: NDArray[np.float32], labels: Floats) -> Floats:
    """Mean score of the second group minus that of the first, for each column."""
    second = labels.sum(axis=0)
    within = np.einsum("ij,ij->j", scores, labels)
    total = scores.sum(axis=0, dtype=np.float64)
    result: Floats = within / second - (total - within) / (len(labels) - second)
    return result
