"""Columns of vectors: is the current window's cloud where the reference's was, and which rows lie outside?"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from identity_masker.drift.column_summary import PlainSummary
from identity_masker.drift.evidence import Effect, Embedding, Item
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.summary import ROW, TableSummary
from identity_masker.drift.univariate import missing_gap
from identity_masker.statistics.classifier_test import ClassifierTest, classifier_test
from identity_masker.statistics.distances import Estimate
from identity_masker.statistics.samples import Floats
from identity_masker.statistics.two_sample import mmd

# Above this a p-value cannot be significant at any night's rate: no second round of permutations is needed.
CLEARLY_ALIKE = 0.05
PLOT_ROWS = 150
SEEDS = (17, 71)


def compare_embedding(
    name: str, before: TableSummary, now: TableSummary, policy: DriftPolicy, alpha: float
) -> Embedding:
    """Evidence on an embedding column, from the rows that both summaries kept.

    Kernel test (MMD) and classifier test, each by permutation; both together have twice the smaller p-value. A first
    round of permutations finds what is clearly alike; the rest get a second, independent one, large enough to show
    significance at the level `alpha`.
    """
    plain = [_plain(side, name) for side in (before, now)]
    missing = missing_gap(plain[0].missing, plain[0].rows, plain[1].missing, plain[1].rows)
    (first, _, bad), (second, names, worse) = (_vectors(side, name, policy) for side in (before, now))
    facts = {
        "name": name,
        "rows": (len(first), len(second)),
        "unusable": (bad, worse),
        "missing": missing,
        "dimensions": plain[0].dimensions or plain[1].dimensions,
    }
    if min(len(first), len(second)) < policy.min_rows:
        note = f"{len(first)} and {len(second)} usable vectors; at least {policy.min_rows} are needed on each side"
        return Embedding(**facts, status="not_enough_data", note=note)
    rounds = (policy.embeddings.permutations, max(policy.embeddings.permutations, math.ceil(4.0 / alpha)))
    discrepancy, kernel_p = _kernel(first, second, rounds)
    told_apart = _classifier(first, second, rounds, policy)
    area = told_apart.area
    gini = Estimate(max(0.0, 2.0 * area.value - 1.0), max(0.0, 2.0 * area.low - 1.0), max(0.0, 2.0 * area.high - 1.0))
    return Embedding(
        **facts,
        mmd=discrepancy,
        mmd_p_value=kernel_p,
        classifier_p_value=told_apart.p_value,
        combined_p_value=min(1.0, 2.0 * min(kernel_p, told_apart.p_value)),
        effect=Effect.of(gini, "2 AUC - 1"),
        different=_most_different(told_apart.scores, names, policy.embeddings.named),
        points=_plane(first, second),
    )


def _kernel(first: Floats, second: Floats, rounds: tuple[int, int]) -> tuple[float, float]:
    found = mmd(first, second, rounds[0], SEEDS[0])
    if found.p_value <= CLEARLY_ALIKE:
        found = mmd(first, second, rounds[1], SEEDS[1], bandwidth=found.bandwidth or None)
    return found.statistic, found.p_value


def _classifier(first: Floats, second: Floats, rounds: tuple[int, int], policy: DriftPolicy) -> ClassifierTest:
    found = classifier_test(first, second, rounds[0], SEEDS[0], confidence=policy.confidence)
    if found.p_value > CLEARLY_ALIKE:
        return found
    again = classifier_test(first, second, rounds[1], SEEDS[1], confidence=policy.confidence)
    return again._replace(scores=found.scores)


def _plain(side: TableSummary, name: str) -> PlainSummary:
    summary = side.columns.get(name)
    return summary if isinstance(summary, PlainSummary) else replace(PlainSummary(), rows=side.rows, missing=side.rows)


def _vectors(side: TableSummary, name: str, policy: DriftPolicy) -> tuple[NDArray[np.float64], list[str], int]:
    """Vectors (rows, dimensions), the name of each row, and how many were left out for not being finite."""
    rows = side.sample.first(policy.embeddings.rows)
    if rows is None or name not in rows.column_names or pa.types.is_null(rows.schema.field(name).type):
        return np.empty((0, 1)), [], 0
    rows = rows.filter(rows.column(name).is_valid())
    lists = rows.column(name).to_pylist()
    table = np.array([[math.nan if x is None else x for x in each] for each in lists], dtype=np.float64)
    if not len(table):
        return np.empty((0, 1)), [], 0
    finite = np.all(np.isfinite(table), axis=1)
    labels = rows.column(side.id_column or ROW).to_pylist()
    return table[finite], [str(label) for label, good in zip(labels, finite, strict=True) if good], int(np.sum(~finite))


def _most_different(scores: Floats, names: list[str], count: int) -> tuple[Item, ...]:
    order = np.argsort(-scores, kind="stable")[:count]
    return tuple(Item(row=names[index], score=round(float(scores[index]), 6)) for index in order)


def _plane(first: Floats, second: Floats) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Some rows of both sides on the first two principal axes of the pooled rows."""
    pooled = np.vstack([first, second])
    centre = pooled.mean(axis=0)
    _, _, axes = np.linalg.svd(pooled[:: max(1, len(pooled) // 1_000)] - centre, full_matrices=False)
    return tuple(
        tuple((round(float(x), 4), round(float(y), 4)) for x, y in _two(side[:PLOT_ROWS] - centre, axes))
        for side in (first, second)
    )


def _two(rows: Floats, axes: Floats) -> Floats:
    projected = rows @ axes[:2].T
    return projected if projected.shape[1] == 2 else np.column_stack([projected[:, 0], np.zeros(len(rows))])
