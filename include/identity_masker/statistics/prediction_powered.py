"""The mean of an outcome that few rows have a label for, from predictions that all rows have."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.distances import Estimate
from identity_masker.statistics.quantile_sketch import SortedSample
from identity_masker.statistics.samples import Floats, probability, sample
from identity_masker.statistics.stability import quantile_edges


class PredictionPowered(NamedTuple):
    """The mean with its interval; `weight`: how far the predictions were trusted, 0 to 1."""

    mean: Estimate
    weight: float


def prediction_powered_mean(
    labels: ArrayLike, predicted: ArrayLike, others: ArrayLike, confidence: float = 0.95
) -> PredictionPowered:
    """Mean outcome from `labels` with their own predictions, and the predictions of rows without a label.

    The predictions may be wrong in any way: what they miss on the labelled rows is put right. The labelled rows must
    be a random draw of all. The weight minimises the variance, so the interval is hardly wider than that of the
    labels alone however poor the predictions are. Source: Angelopoulos, Duchi & Zrnic, PPI++, arXiv 2311.01453.
    """
    outcome, own = sample(labels, "the labels", at_least=2), sample(predicted, "their predictions", at_least=2)
    rest = sample(others, "the other predictions", at_least=2)
    if outcome.size != own.size:
        raise BadInputError("labels and predictions differ in length", got=f"{outcome.size} and {own.size}")
    n, m = outcome.size, rest.size
    spread = float(np.var(np.concatenate([own, rest]), ddof=1))
    covariance = float(np.cov(outcome, own)[0, 1])
    weight = min(1.0, max(0.0, covariance / ((1.0 + n / m) * spread))) if spread > 0.0 else 0.0
    value = float(np.mean(outcome - weight * own) + weight * np.mean(rest))
    variance = float(np.var(outcome - weight * own, ddof=1)) / n + weight**2 * float(np.var(rest, ddof=1)) / m
    half = float(stats.t.isf((1.0 - probability(confidence, "the confidence")) / 2.0, n - 1)) * math.sqrt(variance)
    return PredictionPowered(Estimate(value, value - half, value + half), weight)


def calibrated_mean(
    predicted: ArrayLike, outcomes: ArrayLike, current: ArrayLike, *, bins: int = 20, confidence: float = 0.95
) -> Estimate:
    """Mean outcome of rows without any label: what went with their predictions in the labelled reference.

    The reference is cut into at most `bins` bins of equal shares of the prediction, and each bin's mean outcome
    weighted by its share of `current`. The interval holds the chance in both samples. It assumes that outcomes given
    the prediction are what they were: it follows a change of what comes in, and cannot see one of what it means.
    """
    before, truth = sample(predicted, "the predictions", at_least=2), sample(outcomes, "the outcomes", at_least=2)
    now = sample(current, "the current predictions", at_least=1)
    if before.size != truth.size:
        raise BadInputError("predictions and outcomes differ in length", got=f"{before.size} and {truth.size}")
    edges = quantile_edges(SortedSample.of(before), max(2, min(bins, before.size // 20)))
    place, shares = np.searchsorted(edges, before, side="right"), _shares(edges, now)
    means, errors = _bin_means(place, truth, edges.size + 1)
    value = float(shares @ means)
    variance = float(shares**2 @ errors) + float(shares @ (means - value) ** 2) / now.size
    half = float(stats.norm.isf((1.0 - probability(confidence, "the confidence")) / 2.0)) * math.sqrt(variance)
    return Estimate(value, value - half, value + half)


def _shares(edges: Floats, values: Floats) -> Floats:
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=edges.size + 1) / values.size


def _bin_means(place: np.ndarray[tuple[int], np.dtype[np.intp]], truth: Floats, size: int) -> tuple[Floats, Floats]:
    """Mean outcome of each bin, and the variance of that mean; an empty bin has those of all rows together."""
    found = np.bincount(place, minlength=size).astype(np.float64)
    overall, spread = float(np.mean(truth)), float(np.var(truth, ddof=1))
    means = np.divide(np.bincount(place, truth, size), found, out=np.full(size, overall), where=found > 0)
    squares = np.bincount(place, (truth - means[place]) ** 2, size)
    variances = np.divide(squares, found - 1.0, out=np.full(size, spread), where=found > 1)
    return means, variances / np.maximum(found, 1.0)
