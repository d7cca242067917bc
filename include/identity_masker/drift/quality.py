"""Faults of the data themselves: missing, infinite, impossible and unknown values, and columns that stand still."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from identity_masker.drift.evidence import Column, Evidence, Gap
from identity_masker.drift.policy import DriftPolicy

# A share that chance puts beyond the extremes of a reference of a few hundred rows.
OUTSIDE_WORTH_TELLING = 0.01


class Finding(BaseModel):
    """A fault makes the column's verdict drift, with the cause quality; a note is only told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    severity: Literal["fault", "note"]
    text: str


class Share(NamedTuple):
    """A share of rows that is wrong in some way, on both sides."""

    name: str
    what: str
    gap: Gap

    def finding(self, adjusted: float) -> Finding:
        before, now = self.gap.reference, self.gap.current
        shares = f"{_percent(now)} of the rows, {_percent(before)} in the reference"
        text = f"{self.what} in {shares}; adjusted p {adjusted:.2g}"
        return Finding(column=self.name, severity="fault", text=text)


def shares_of(evidence: Evidence) -> list[Share]:
    """All shares of missing and infinite values that occur on either side."""
    found = [
        Share(column.name, what, gap)
        for column in evidence.columns
        for what, gap in (("missing values", column.missing), ("infinite values", column.infinite))
        if gap is not None
    ]
    return found + [Share(each.name, "missing vectors", each.missing) for each in evidence.embeddings if each.missing]


def limits_broken(evidence: Evidence, policy: DriftPolicy) -> Iterator[Finding]:
    """Columns with at least the floor's share of values that the policy calls impossible."""
    for column in evidence.columns:
        if column.out_of_range > 0.0 and column.out_of_range >= policy.floors.missing:
            yield Finding(column=column.name, severity="fault", text=_impossible(column))


def notes(evidence: Evidence) -> Iterator[Finding]:
    """What is worth knowing and no reason for an alarm by itself."""
    for column in evidence.columns:
        for text in _column_notes(column):
            yield Finding(column=column.name, severity="note", text=text)
    for each in evidence.embeddings:
        if any(each.unusable):
            before, now = each.unusable
            text = f"vectors with numbers that are not finite: {before} in the reference, {now} now, left out"
            yield Finding(column=each.name, severity="note", text=text)


def _column_notes(column: Column) -> Iterator[str]:
    if column.note:
        yield column.note
    if column.out_of_range > 0.0:
        yield _impossible(column)
    if column.current.count == 0 and column.current.missing:
        yield "every value of the current window is missing"
    before, now = column.constant
    if now:
        yield "constant on both sides" if before else "constant in the current window, varying in the reference"
    elif before:
        yield "constant in the reference, varying in the current window"
    if column.new_categories:
        names = ", ".join(repr(name) for name in column.new_categories[:5])
        yield f"categories that the reference has not, {_percent(column.new_category_share)} of the rows: {names}"
    if column.outside_reference >= OUTSIDE_WORTH_TELLING:
        yield f"{_percent(column.outside_reference)} of the rows outside the range of the reference"


def _impossible(column: Column) -> str:
    return f"{_percent(column.out_of_range)} of the values outside the limits of the policy"


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %"
