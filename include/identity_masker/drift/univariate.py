"""One column in two windows: distances, tests, the size of the difference, and what a plot of it needs."""

from __future__ import annotations

from typing import Any

import numpy as np

from identity_masker.drift.column_policy import ColumnPolicy
from identity_masker.drift.column_summary import CategorySummary, NumericSummary
from identity_masker.drift.evidence import Column, Effect, Gap, Histogram, Side
from identity_masker.drift.policy import DriftPolicy
from identity_masker.statistics.distances import Estimate, distances
from identity_masker.statistics.quantile_sketch import SortedSample
from identity_masker.statistics.samples import Floats
from identity_masker.statistics.stability import (
    SURPRISING,
    homogeneity,
    share_p_value,
    stability_index,
    total_variation,
)
from identity_masker.statistics.two_sample import ks

# Up to so many values a side the exact distribution costs less than a hundredth of a second.
EXACT_KS = 3_000
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
TOP = 20
# The categories that cells of a table are made of: those frequent in both windows together.
MOST_CELLS = 200
EXPECTED, ROWS_A_BIN = 5.0, 10
PLOT_BINS = 30


def compare_numeric(name: str, before: NumericSummary, now: NumericSummary, policy: DriftPolicy) -> Column:
    """Evidence on a numeric column."""
    base = _base(name, "numeric", before, now) | {
        "infinite": _gap(before.infinite, before.rows, now.infinite, now.rows),
        "out_of_range": _share_outside(now, policy.column(name).low, policy.column(name).high),
        "reference": _numeric_side(before),
        "current": _numeric_side(now),
    }
    short = _too_short(before.count, now.count, policy)
    if short:
        return Column(**base, status="not_enough_data", note=short)
    reference, current = before.ordered, now.ordered
    found = distances(reference, current, policy.confidence)
    exact = _exact(reference) and _exact(current)
    p_value = ks(reference.values, current.values).p_value if exact else found.ks_p_value
    bins_p_value, shift = _bins_test(before, now, policy)
    if before.scale is None:
        effect = Effect.of(shift, "share of rows")
    else:
        effect = Effect.of(found.transport.over(before.scale), "spread")
    edges, counts = before.bins(policy.bins)
    return Column(
        **base,
        ks=found.ks,
        psi=stability_index(counts, current.counts_between(edges)),
        wasserstein=found.wasserstein,
        scale=before.scale,
        rank_mean=found.rank_mean,
        rank_variance=before.rank_variance,
        p_value=p_value,
        bins_p_value=bins_p_value,
        combined_p_value=min(1.0, 2.0 * min(p_value, bins_p_value)),
        effect=effect,
        constant=(before.low == before.high, now.low == now.high),
        outside_reference=_share_outside(now, before.low, before.high),
        histogram=_histogram(reference, current),
    )


def compare_categories(name: str, before: CategorySummary, now: CategorySummary, policy: DriftPolicy) -> Column:
    """Evidence on a column of categories."""
    base = _base(name, "category", before, now) | {
        "out_of_range": _share_not_allowed(now, policy.column(name)),
        "reference": _category_side(before),
        "current": _category_side(now),
    }
    if before.names_rows and now.names_rows:
        return Column(**base, status="not_tested", note="nearly every row has a value of its own: it names rows")
    short = _too_short(before.count, now.count, policy)
    if short:
        return Column(**base, status="not_enough_data", note=short)
    first, second, names = _cells(before, now)
    p_value = homogeneity(first, second, expected=EXPECTED).p_value
    unseen = _unseen(before, now)
    return Column(
        **base,
        psi=stability_index(first, second),
        p_value=p_value,
        bins_p_value=p_value,
        combined_p_value=p_value,
        effect=Effect.of(total_variation(first, second, policy.confidence), "share of rows"),
        new_categories=tuple(sorted(unseen, key=unseen.__getitem__, reverse=True)[:TOP]),
        new_category_share=sum(unseen.values()) / now.count,
        note=_of_rows(before, now),
        constant=(len(before.counts) == 1 and before.complete, len(now.counts) == 1 and now.complete),
        histogram=_bars(first, second, names),
    )


def _of_rows(before: CategorySummary, now: CategorySummary) -> str:
    if not (before.names_rows or now.names_rows):
        return ""
    return f"nearly every row has a value of its own {'now' if now.names_rows else 'in the reference'}"


def missing_gap(before_missing: int, before_rows: int, now_missing: int, now_rows: int) -> Gap | None:
    """The share of missing values on both sides; None when there are none, or no rows."""
    return _gap(before_missing, before_rows, now_missing, now_rows)


def _base(
    name: str, kind: str, before: NumericSummary | CategorySummary, now: NumericSummary | CategorySummary
) -> dict[str, Any]:
    return {"name": name, "kind": kind, "missing": _gap(before.missing, before.rows, now.missing, now.rows)}


def _gap(before: int, before_rows: int, now: int, now_rows: int) -> Gap | None:
    if not (before or now) or not (before_rows and now_rows):
        return None
    p_value = share_p_value(before, before_rows, now, now_rows)
    return Gap(reference=before / before_rows, current=now / now_rows, p_value=p_value)


def _too_short(before: int, now: int, policy: DriftPolicy) -> str:
    if min(before, now) >= policy.min_rows:
        return ""
    return f"{before} and {now} values that are not missing; at least {policy.min_rows} are needed on each side"


def _exact(side: SortedSample) -> bool:
    return side.weights is None and side.values.size <= EXACT_KS


def _bins_test(before: NumericSummary, now: NumericSummary, policy: DriftPolicy) -> tuple[float, Estimate]:
    """Chi-square p-value and total variation over quantile bins of the reference, so few that each expects ten."""
    smaller = int(min(before.ordered.effective, now.ordered.effective))
    edges, counts = before.bins(min(policy.bins, max(2, smaller // ROWS_A_BIN)))
    first = _effective(before.ordered, counts)
    second = _effective(now.ordered, now.ordered.counts_between(edges))
    return homogeneity(first, second, expected=EXPECTED).p_value, total_variation(first, second, policy.confidence)


def _effective(side: SortedSample, counts: Floats) -> Floats:
    """Counts of as many observations as the sketch is worth: thinning must not look like drift."""
    return counts if side.weights is None else np.asarray(np.round(counts * (side.effective / side.count)))


def _share_outside(side: NumericSummary, low: float | None, high: float | None) -> float:
    below = 0.0 if low is None or side.low >= low else _below(side.ordered, low)
    above = 0.0 if high is None or side.high <= high else 1.0 - _below(side.ordered, np.nextafter(high, np.inf))
    return below + above if side.count else 0.0


def _below(side: SortedSample, limit: float) -> float:
    return float(side.below([limit])[0])


def _share_not_allowed(side: CategorySummary, column: ColumnPolicy) -> float:
    if column.allowed is None or not side.count:
        return 0.0
    return 1.0 - sum(side.counts.get(name, 0) for name in column.allowed) / side.count


def _unseen(before: CategorySummary, now: CategorySummary) -> dict[str, int]:
    """Categories of the current window that the reference has not; empty when it is not known which it has."""
    return {name: count for name, count in now.counts.items() if name not in before.counts} if before.complete else {}


def _cells(before: CategorySummary, now: CategorySummary) -> tuple[Floats, Floats, list[str]]:
    """Counts of the categories that are frequent in both windows together, the rest in one cell.

    Where the list ends is a matter of the summed count alone: to choose among equal ones would favour a side. What
    chance cannot explain is on it in any case (`stability.SURPRISING`).
    """
    total = dict(before.counts)
    for name, count in now.counts.items():
        total[name] = total.get(name, 0) + count
    needed = EXPECTED * (before.count + now.count) / min(before.count, now.count)
    smaller = min(before, now, key=lambda side: side.count)
    frequent = {name for name, count in smaller.counts.items() if total[name] < needed and _surprises(count)}
    if len(total) > MOST_CELLS:
        needed = max(needed, sorted(total.values(), reverse=True)[MOST_CELLS] + 1)
    frequent |= {name for name in total if total[name] >= needed}
    names = sorted(frequent, key=lambda name: (-total[name], name))[: 2 * MOST_CELLS]
    columns = [np.array([side.counts.get(name, 0) for name in names], dtype=np.float64) for side in (before, now)]
    rests = [side.count - column.sum() for side, column in zip((before, now), columns, strict=True)]
    if sum(rests) > 0:
        names.append("(all others)")
        columns = [np.append(column, rest) for column, rest in zip(columns, rests, strict=True)]
    return columns[0], columns[1], names


def _surprises(count: int) -> bool:
    return count >= SURPRISING * EXPECTED


def _numeric_side(side: NumericSummary) -> Side:
    if not side.count:
        return Side(count=0, missing=side.missing, infinite=side.infinite)
    return Side(
        count=side.count,
        missing=side.missing,
        infinite=side.infinite,
        low=side.low,
        high=side.high,
        mean=side.mean,
        sd=side.sd,
        quantiles=tuple(float(value) for value in side.ordered.quantiles(QUANTILES)),
    )


def _category_side(side: CategorySummary) -> Side:
    top = sorted(side.counts, key=lambda name: (-side.counts[name], name))[:TOP]
    distinct = len(side.counts) if side.complete else None
    return Side(
        count=side.count, missing=side.missing, distinct=distinct, top={name: side.counts[name] for name in top}
    )


def _histogram(reference: SortedSample, current: SortedSample) -> Histogram:
    """Equal bins between the outermost of the 0.5 % and 99.5 % quantiles; what is outside joins the end bins."""
    ends = [float(end) for side in (reference, current) for end in side.quantiles((0.005, 0.995))]
    low, high = min(ends), max(ends)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, PLOT_BINS + 1)
    shares = [tuple(side.counts_between(edges[1:-1]) / side.count) for side in (reference, current)]
    return Histogram(edges=tuple(edges), reference=shares[0], current=shares[1])


def _bars(first: Floats, second: Floats, names: list[str]) -> Histogram:
    before, now = tuple(first[:TOP] / first.sum()), tuple(second[:TOP] / second.sum())
    return Histogram(names=tuple(names[:TOP]), reference=before, current=now)
