"""The groups of a window together: their evidence as one, and what drifted in which group."""

from __future__ import annotations

from collections.abc import Sequence

from identity_masker.drift.evidence import Evidence, Schema, Window
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.traffic_policy import GROUPS, Group
from identity_masker.drift.verdict import Verdict
from identity_masker.drift.window import Collected


def merged(window: Collected, evidences: dict[Group, Evidence]) -> Evidence:
    """The evidence of all groups as one, so that one false-alarm rate holds over all columns.

    The windows are those of the first group in which pictures are compared, else of the service.
    """
    current = Window(source=f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC", rows=window.pictures)
    if not evidences:
        return Evidence(reference=Window(source="nothing was compared", rows=0), current=current)
    first = next(iter(evidences.values()))
    # By Bonferroni's inequality: the groups' adjusted p-values know nothing of each other.
    times = sum(any(c.max_statistic_p_value is not None for c in each.columns) for each in evidences.values())
    columns = [
        column
        if column.max_statistic_p_value is None
        else column.model_copy(update={"max_statistic_p_value": min(1.0, times * column.max_statistic_p_value)})
        for each in evidences.values()
        for column in each.columns
    ]
    return Evidence(
        reference=first.reference,
        current=first.current,
        compared=Schema(
            missing=tuple(sorted({name for each in evidences.values() for name in each.compared.missing})),
            added=tuple(sorted({name for each in evidences.values() for name in each.compared.added})),
            changed=tuple(change for each in evidences.values() for change in each.compared.changed),
        ),
        columns=tuple(columns),
        embeddings=tuple(vector for each in evidences.values() for vector in each.embeddings),
        effective_columns=max((each.effective_columns or 0.0 for each in evidences.values()), default=0.0) or None,
    )


def by_group(verdict: Verdict, slow: Sequence[str], policy: DriftPolicy) -> dict[Group, tuple[str, ...]]:
    """The columns whose distribution drifted, tonight or slowly, by group; faults of the data are not among them."""
    names = [column.name for column in verdict.columns if "distribution" in column.causes]
    names += [name for name in slow if name not in names]
    found = {group: tuple(name for name in names if policy.traffic.group_of(name) == group) for group in GROUPS}
    return {group: columns for group, columns in found.items() if columns}


def faults(verdict: Verdict) -> tuple[str, ...]:
    """The columns with a fault of the data."""
    return tuple(column.name for column in verdict.columns if "quality" in column.causes)
