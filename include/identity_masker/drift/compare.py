"""Two windows in, evidence out: every column tested, by the summaries alone."""

from __future__ import annotations

from identity_masker.drift.column_summary import CategorySummary, NumericSummary
from identity_masker.drift.correlated import adjusted_p_values, independent_columns
from identity_masker.drift.embedding import compare_embedding
from identity_masker.drift.evidence import ChangedKind, Column, Evidence, Schema, Side, Window
from identity_masker.drift.kinds import Kind
from identity_masker.drift.policy import NIGHTLY, DriftPolicy
from identity_masker.drift.summary import TableSummary
from identity_masker.drift.univariate import compare_categories, compare_numeric, missing_gap

UNTESTED = {
    "time": "times always move on",
    "other": "no test for this type",
    "empty": "no value on either side",
}


def collect(
    before: TableSummary, now: TableSummary, policy: DriftPolicy, *, reference: Window, current: Window
) -> Evidence:
    """Everything that a verdict on `now` against `before` needs. Columns that only one side has are not compared."""
    shared = [name for name in before.kinds if _kind(name, before, now) is not None]
    columns = [_column(name, before, now, policy) for name in shared if _kind(name, before, now) != "embedding"]
    columns = [
        each.model_copy(update={"missing": None}) if policy.column(each.name).sampled else each for each in columns
    ]
    vectors = [name for name in shared if _kind(name, before, now) == "embedding"]
    tested = [column.name for column in columns if column.status == "tested"]
    # The levels decide only how many permutations are made: here the smallest that they can be.
    alpha = {family: policy.alpha(family, frozenset(NIGHTLY)) for family in NIGHTLY}
    embeddings = [compare_embedding(name, before, now, policy, alpha["embeddings"] / len(vectors)) for name in vectors]
    if policy.false_alarms.across_columns == "max_statistic":
        adjusted = adjusted_p_values(tested, before, now, policy, alpha["columns"])
        columns = [column.model_copy(update={"max_statistic_p_value": adjusted.get(column.name)}) for column in columns]
    return Evidence(
        reference=reference,
        current=current,
        compared=_schema(before, now),
        columns=tuple(columns),
        embeddings=tuple(embeddings),
        effective_columns=independent_columns(tested, before),
    )


def _kind(name: str, before: TableSummary, now: TableSummary) -> Kind | None:
    """The kind under which a column is compared; None when it is not on both sides, or of two kinds, or ignored."""
    kinds = {side.kinds.get(name, "ignored") for side in (before, now)}
    if "ignored" in kinds:
        return None
    known = kinds - {"empty"}
    if len(known) > 1:
        return None
    return known.pop() if known else "empty"


def _column(name: str, before: TableSummary, now: TableSummary, policy: DriftPolicy) -> Column:
    kind = _kind(name, before, now)
    sides = [_like(side, name, kind) for side in (before, now)]
    if isinstance(sides[0], NumericSummary) and isinstance(sides[1], NumericSummary):
        return compare_numeric(name, sides[0], sides[1], policy)
    if isinstance(sides[0], CategorySummary) and isinstance(sides[1], CategorySummary):
        return compare_categories(name, sides[0], sides[1], policy)
    counts = [(side.columns[name].rows, side.columns[name].missing) for side in (before, now)]
    views = [Side(count=rows - missing, missing=missing) for rows, missing in counts]
    return Column(
        name=name,
        kind=kind or "other",
        status="not_tested",
        note=UNTESTED.get(kind or "other", "no test for this type"),
        missing=missing_gap(counts[0][1], counts[0][0], counts[1][1], counts[1][0]),
        reference=views[0],
        current=views[1],
    )


def _like(side: TableSummary, name: str, kind: Kind | None) -> object:
    """The summary of a column; one with no values where the whole column is missing."""
    found = side.columns[name]
    if side.kinds[name] != "empty":
        return found
    if kind == "numeric":
        return NumericSummary(missing=found.rows)
    return CategorySummary(missing=found.rows) if kind == "category" else found


def _schema(before: TableSummary, now: TableSummary) -> Schema:
    first = {name: kind for name, kind in before.kinds.items() if kind != "ignored"}
    second = {name: kind for name, kind in now.kinds.items() if kind != "ignored"}
    return Schema(
        missing=tuple(sorted(set(first) - set(second))),
        added=tuple(sorted(set(second) - set(first))),
        changed=tuple(
            ChangedKind(name=name, reference=first[name], current=second[name])
            for name in first
            if name in second and first[name] != second[name] and "empty" not in (first[name], second[name])
        ),
    )
