"""Maximum mean discrepancy: a two-sample test for vectors, such as embeddings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identity_masker.errors import BadInputError
from identity_masker.statistics.samples import Floats, rows

MEDIAN_ROWS = 2_000
PERMUTATIONS_AT_ONCE = 1_000


class MeanDiscrepancy(NamedTuple):
    """Unbiased squared discrepancy (may be below zero), permutation p-value, and the kernel's bandwidth."""

    statistic: float
    p_value: float
    bandwidth: float

    @property
    def pvalue(self) -> float:
        return self.p_value


def mmd(
    a: ArrayLike, b: ArrayLike, permutations: int = 1000, seed: int = 0, *, bandwidth: float | None = None
) -> MeanDiscrepancy:
    """Squared maximum mean discrepancy of two samples (observations, dimensions), Gaussian kernel.

    Kernel exp(-d²/2σ²) with σ² half the median squared distance of the pooled rows unless `bandwidth` (σ) is given.
    The p-value is (1 + #{permuted ≥ observed}) / (permutations + 1). All permutations are one matrix product of the
    kernel with 0/1 labels. Memory: 4 (n+m)² bytes and as much again.
    Source: Gretton et al., JMLR 13 (2012) 723-773.
    """
    first, second = rows(a, "a", at_least=2), rows(b, "b", at_least=2)
    if first.shape[1] != second.shape[1]:
        raise BadInputError("the samples differ in dimensions", got=f"{first.shape[1]} and {second.shape[1]}")
    if permutations < 1:
        raise BadInputError("too few permutations", got=permutations, allowed="at least 1")
    pooled = np.vstack([first, second])
    squared = _squared_distances(pooled - pooled.mean(axis=0))
    sigma = _median_bandwidth(squared) if bandwidth is None else float(bandwidth)
    if not sigma > 0.0:
        # More than half of the rows are equal: the scale is that of the ones that differ.
        differing = squared[squared > 0.0]
        if not differing.size:
            return MeanDiscrepancy(0.0, 1.0, 0.0)
        sigma = float(np.sqrt(0.5 * np.median(differing)))
    kernel = squared
    np.multiply(kernel, -0.5 / sigma**2, out=kernel)
    np.exp(kernel, out=kernel)
    np.fill_diagonal(kernel, 0.0)
    observed = _discrepancy(kernel, _observed_labels(len(first), len(pooled)), len(first))[0]
    reached = _permuted_at_least(kernel, observed, len(first), permutations, seed)
    return MeanDiscrepancy(float(observed), (1.0 + reached) / (permutations + 1.0), sigma)


def _squared_distances(points: Floats) -> NDArray[np.float32]:
    # Single precision is enough: rounding is far below what two samples of any size differ by chance.
    single = points.astype(np.float32)
    norms = np.einsum("ij,ij->i", single, single)
    squared: NDArray[np.float32] = single @ single.T
    squared *= -2.0
    squared += norms[:, None]
    squared += norms[None, :]
    np.maximum(squared, 0.0, out=squared)
    np.fill_diagonal(squared, 0.0)
    return squared


def _median_bandwidth(squared: NDArray[np.float32]) -> float:
    step = max(1, -(-len(squared) // MEDIAN_ROWS))
    some = squared[::step, ::step].ravel()
    size = len(squared[::step])
    # The diagonal's zeros come first; each distance stands twice.
    middle = size + (size * size - size) // 2
    around = np.partition(some, (middle - 1, middle))[middle - 1 : middle + 1]
    return float(np.sqrt(0.5 * np.mean(around, dtype=np.float64)))


def _permuted_at_least(kernel: NDArray[np.float32], observed: float, n: int, permutations: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    size, reached = len(kernel), 0
    # Equal up to rounding counts as reached: the test must not gain from float32.
    floor = observed - 1e-6 * abs(observed) - 1e-12
    for start in range(0, permutations, PERMUTATIONS_AT_ONCE):
        batch = min(PERMUTATIONS_AT_ONCE, permutations - start)
        labels = np.zeros((size, batch), dtype=np.float32)
        for column in range(batch):
            labels[rng.permutation(size)[:n], column] = 1.0
        reached += int(np.count_nonzero(_discrepancy(kernel, labels, n) >= floor))
    return reached


def _discrepancy(kernel: NDArray[np.float32], labels: NDArray[np.float32], n: int) -> Floats:
    """Unbiased squared discrepancy for each column of 0/1 `labels` with n ones; the kernel has a zero diagonal."""
    m = len(kernel) - n
    product = kernel @ labels
    within = np.einsum("ij,ij->j", labels, product, dtype=np.float64)
    total_of_rows = kernel.sum(axis=1, dtype=np.float64)
    first = total_of_rows @ labels
    between = first - within
    rest = total_of_rows.sum() - within - 2.0 * between
    result: Floats = within / (n * (n - 1.0)) + rest / (m * (m - 1.0)) - 2.0 * between / (n * m)
    return result


def _observed_labels(n: int, size: int) -> NDArray[np.float32]:
    labels = np.zeros((size, 1), dtype=np.float32)
    labels[:n] = 1.0
    return labels
