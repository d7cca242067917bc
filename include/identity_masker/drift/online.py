"""Drift within minutes: a detector over the stream of rows, with a known mean time between false alarms."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from identity_masker.errors import BadInputError
from identity_masker.statistics.samples import Floats, rows

FOLDS = 10
# Reference values a column is looked up in; more hardly change a score.
MOST_VALUES = 4_000
RIDGE = 1e-3
# Runs simulated for the calibration; the mean run length is then known to about 2 %.
RUNS = 2_000
RUN_STEPS = 4
MOST_STEPS = 6_000_000
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Reading:
    """After a row: the statistic, its threshold, and each column's share in it in standard errors."""

    statistic: float
    threshold: float
    alarm: bool
    columns: Floats


@dataclass(frozen=True)
class _Scores:
    """Rows as normal scores among the reference, column by column, then made uncorrelated."""

    values: tuple[Floats, ...]
    whitening: Floats

    @classmethod
    def of(cls, table: Floats) -> Self:
        values = tuple(_thinned(np.sort(column[np.isfinite(column)])) for column in table.T)
        unmixed = cls(values, np.eye(len(values)))
        scores = unmixed.normal(table)
        covariance = np.cov(scores, rowvar=False).reshape(len(values), -1)
        covariance += RIDGE * np.eye(len(values))
        sizes, axes = np.linalg.eigh(covariance)
        # The symmetric root: the folds of the calibration must agree on what each axis is.
        return cls(values, axes / np.sqrt(sizes) @ axes.T)

    def normal(self, table: Floats) -> Floats:
        """Normal scores (N, d); 0, the middle, for what is missing."""
        result = np.zeros_like(table)
        for index, values in enumerate(self.values):
            column = table[:, index]
            known = ~np.isnan(column)
            middle = 0.5 * sum(np.searchsorted(values, column[known], side=side) for side in ("left", "right"))
            result[known, index] = ndtri((middle + 0.5) / (values.size + 1.0))
        return result

    def white(self, table: Floats) -> Floats:
        return self.normal(table) @ self.whitening


@dataclass
class StreamDetector:
    """Multivariate exponentially weighted moving average of the rows' normal scores against a reference.

    The statistic is the Mahalanobis length of the average in units of its own variance; small lasting shifts of any
    columns raise it. Source: Lowry, Woodall, Champ & Rigdon, Technometrics 34 (1992) 46-53. Missing values count as
    the middle of the reference. After an alarm the average starts anew.
    """

    scores: _Scores
    threshold: float
    smoothing: float
    run_length: float
    average: Floats = field(default_factory=lambda: np.empty(0))
    steps: int = 0

    @classmethod
    def calibrated(
        cls, reference: ArrayLike, run_length: float = 10_000.0, *, smoothing: float = 0.05, seed: int = 0
    ) -> Self:
        """A detector that alarms without drift once in `run_length` rows on average.

        `reference` (rows, columns), NaN for missing. The threshold comes from simulated runs over the reference's own
        rows, each scored without its own tenth of the reference, from a middle that is as uncertain as the
        reference's: without that, runs on new rows are shorter than runs on those that the scores were made from.
        """
        table = _table(reference)
        if not (1.0 < run_length < 1e7 and 0.0 < smoothing <= 1.0):
            got = f"run length {run_length:g}, smoothing {smoothing:g}"
            raise BadInputError("the detector cannot be calibrated", got=got, allowed="1 to 1e7, and 0 to 1")
        if len(table) < max(10 * table.shape[1], 50):
            raise BadInputError(
                "too few reference rows", got=len(table), allowed=f"at least {max(10 * table.shape[1], 50)}"
            )
        rng = np.random.default_rng(seed)
        threshold = _threshold(_out_of_fold(table, rng), run_length, smoothing, rng)
        return cls(_Scores.of(table), threshold, smoothing, run_length)

    def update(self, row: ArrayLike) -> Reading:
        """Take in one row (columns,) and say whether the stream has left the reference."""
        table = np.asarray(row, dtype=np.float64).reshape(1, -1)
        if table.shape[1] != len(self.scores.values):
            raise BadInputError("the row has other columns", got=table.shape[1], allowed=str(len(self.scores.values)))
        if not self.steps:
            self.average = np.zeros(table.shape[1])
        self.steps += 1
        self.average = self.average + self.smoothing * (self.scores.white(table)[0] - self.average)
        variance = _variance(self.smoothing, self.steps)
        statistic = float(self.average @ self.average) / variance
        # Back from uncorrelated axes to columns: the correlation of the average with each column.
        columns = np.linalg.lstsq(self.scores.whitening.T, self.average, rcond=None)[0] / np.sqrt(variance)
        reading = Reading(statistic, self.threshold, statistic > self.threshold, columns)
        if reading.alarm:
            self.steps = 0
        return reading

    def to_bytes(self) -> bytes:
        """The calibrated detector, without its place in the stream."""
        buffer = io.BytesIO()
        values = {f"values_{index}": column for index, column in enumerate(self.scores.values)}
        numbers = np.array([self.threshold, self.smoothing, self.run_length])
        np.savez_compressed(buffer, allow_pickle=False, numbers=numbers, whitening=self.scores.whitening, **values)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                values = tuple(arrays[f"values_{index}"] for index in range(len(arrays["whitening"])))
                threshold, smoothing, run_length = (float(number) for number in arrays["numbers"])
                return cls(_Scores(values, arrays["whitening"]), threshold, smoothing, run_length)
        except (ValueError, KeyError, OSError) as error:
            raise BadInputError("this is not a stored detector", got=str(error), fix="calibrate it anew") from error


def _table(reference: ArrayLike) -> Floats:
    array = np.asarray(reference, dtype=np.float64)
    rows(np.nan_to_num(array, nan=0.0), "the reference", at_least=2)
    table = array[:, None] if array.ndim == 1 else array
    if np.any(np.all(np.isnan(table), axis=0)):
        raise BadInputError("a reference column has no values", fix="leave it out of the stream")
    return table


def _thinned(values: Floats) -> Floats:
    if values.size <= MOST_VALUES:
        return values
    return np.asarray(np.quantile(values, (np.arange(MOST_VALUES) + 0.5) / MOST_VALUES), dtype=np.float64)


def _out_of_fold(table: Floats, rng: np.random.Generator) -> Floats:
    """Uncorrelated scores of all rows, each by a fit without its fold."""
    folds = rng.permutation(len(table)) % FOLDS
    result = np.empty_like(table)
    for fold in range(FOLDS):
        result[folds == fold] = _Scores.of(table[folds != fold]).white(table[folds == fold])
    return result


def _variance(smoothing: float, steps: int) -> float:
    """Variance of the average of `steps` uncorrelated scores, from a start at zero."""
    return float(smoothing / (2.0 - smoothing) * (1.0 - (1.0 - smoothing) ** (2 * steps)))


def _threshold(scores: Floats, run_length: float, smoothing: float, rng: np.random.Generator) -> float:
    """The threshold that simulated runs pass after `run_length` steps on average."""
    steps = int(np.ceil(RUN_STEPS * run_length))
    runs = int(np.clip(MOST_STEPS // steps, 100, RUNS))
    highest = _highest(scores, runs, steps, smoothing, rng)
    low, high = 0.0, float(highest[:, -1].max())
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _mean_run(highest, middle) < run_length else (low, middle)
    return high


def _highest(scores: Floats, runs: int, steps: int, smoothing: float, rng: np.random.Generator) -> Singles:
    """The largest statistic so far of simulated runs: (runs, steps), single precision."""
    offset = rng.normal(size=(runs, scores.shape[1])) / np.sqrt(len(scores))
    average = np.zeros_like(offset)
    highest = np.zeros((runs, steps), dtype=np.float32)
    largest = np.zeros(runs)
    for step in range(steps):
        drawn = scores[rng.integers(len(scores), size=runs)] + offset
        average += smoothing * (drawn - average)
        largest = np.maximum(largest, np.einsum("ij,ij->i", average, average) / _variance(smoothing, step + 1))
        highest[:, step] = largest
    return highest


def _mean_run(highest: Singles, threshold: float) -> float:
    """Mean number of steps to the alarm; runs without one end as the others do (constant hazard)."""
    # Steps survived, the alarm's own included.
    survived = np.count_nonzero(highest <= threshold, axis=1)
    alarms = int(np.count_nonzero(survived < highest.shape[1]))
    if not alarms:
        return float("inf")
    return float(np.sum(np.minimum(survived + 1, highest.shape[1]))) / alarms
