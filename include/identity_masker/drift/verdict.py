"""The verdict: a pure function of stored evidence and a policy. The same two give the same verdict, always."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from identity_masker.drift.evidence import Column, Embedding, Evidence
from identity_masker.drift.policy import DriftPolicy, Family
from identity_masker.drift.quality import Finding, limits_broken, notes, shares_of
from identity_masker.statistics.multiple import benjamini_hochberg

Outcome = Literal["drift", "no_drift", "not_enough_data", "schema_changed"]
Cause = Literal["distribution", "quality"]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnVerdict(_Document):
    """What holds for one column: `drift` needs a significant difference and an effect at its floor or above."""

    name: str
    drift: bool
    causes: tuple[Cause, ...] = ()
    adjusted_p_value: float | None = None
    significant: bool = False
    large: bool = False
    floor: float | None = None
    reason: str


class Verdict(_Document):
    """The verdict on a window, why, and what the night's share of the false-alarm rate was for each kind of test."""

    verdict: Outcome
    reasons: tuple[str, ...]
    causes: tuple[Cause, ...] = ()
    columns: tuple[ColumnVerdict, ...] = ()
    findings: tuple[Finding, ...] = ()
    alphas: dict[str, float] = {}


def judge(evidence: Evidence, policy: DriftPolicy) -> Verdict:
    """Judge `evidence` under `policy`.

    In this order: too few rows is `not_enough_data`, other columns or kinds of columns `schema_changed`, any column
    with drift `drift`. Evidence on single columns is given with every verdict.
    """
    alphas = {family: policy.alpha(family, evidence.families) for family in evidence.families}
    distribution = _columns(evidence, policy, alphas) | _embeddings(evidence, policy, alphas)
    faults = _quality(evidence, policy, alphas)
    columns = [_with_faults(distribution[name], faults.get(name, [])) for name in distribution]
    outcome, reasons = _outcome(evidence, policy, columns)
    causes = sorted({cause for column in columns if column.drift for cause in column.causes})
    return Verdict(
        verdict=outcome,
        reasons=tuple(reasons),
        causes=tuple(causes) if outcome == "drift" else (),
        columns=tuple(columns),
        findings=tuple(finding for found in faults.values() for finding in found) + tuple(notes(evidence)),
        alphas={family: alphas[family] for family in sorted(alphas)},
    )


def _outcome(evidence: Evidence, policy: DriftPolicy, columns: list[ColumnVerdict]) -> tuple[Outcome, list[str]]:
    before, now = evidence.reference.rows, evidence.current.rows
    changes = _schema_changes(evidence, policy)
    if min(before, now) < policy.min_rows:
        short = f"{before} rows in the reference and {now} in the current window; at least {policy.min_rows} are needed"
        return "not_enough_data", [short, *changes]
    drifted = [f"{column.name}: {column.reason}" for column in columns if column.drift]
    if changes:
        return "schema_changed", changes + drifted
    if drifted:
        return "drift", drifted
    if not evidence.families & {"columns", "embeddings"}:
        return "not_enough_data", ["no column has enough values to be tested", *_notes(evidence)]
    return "no_drift", ["no column differs both significantly and by as much as its floor"]


def _notes(evidence: Evidence) -> list[str]:
    return [f"{column.name}: {column.note}" for column in evidence.measured if column.note]


def _schema_changes(evidence: Evidence, policy: DriftPolicy) -> list[str]:
    found = evidence.compared
    lost = [name for name in found.missing if not policy.column(name).optional]
    new = [name for name in found.added if not policy.column(name).optional]
    kinds = [f"column {each.name} was {each.reference} and is {each.current}" for each in found.changed]
    return [
        *(f"column {name} is missing from the current window" for name in lost),
        *(f"column {name} is not in the reference" for name in new),
        *kinds,
    ]


def _columns(evidence: Evidence, policy: DriftPolicy, alphas: dict[Family, float]) -> dict[str, ColumnVerdict]:
    tested = [column for column in evidence.columns if column.status == "tested"]
    adjusted = _adjusted(tested)
    return {
        column.name: _verdict(column, adjusted.get(column.name), alphas.get("columns", 0.0), _floor(column, policy))
        for column in evidence.columns
    }


def _adjusted(tested: list[Column]) -> dict[str, float]:
    """The columns' p-values adjusted for their number: by the max-statistic where there is one, else by BH."""
    together = {column.name: column.max_statistic_p_value for column in tested}
    known = {name: value for name, value in together.items() if value is not None}
    if len(known) == len(tested):
        return known
    return _by_name([(column.name, _known(column.combined_p_value)) for column in tested])


def _floor(column: Column, policy: DriftPolicy) -> float:
    # A numeric column that was constant has no spread: its effect is the share of rows that changed.
    in_shares = column.kind == "category" or (column.effect is not None and column.effect.unit == "share of rows")
    return policy.floor(column.name, policy.floors.category if in_shares else policy.floors.numeric)


def _embeddings(evidence: Evidence, policy: DriftPolicy, alphas: dict[Family, float]) -> dict[str, ColumnVerdict]:
    tested = [each for each in evidence.embeddings if each.status == "tested"]
    adjusted = _by_name([(each.name, _known(each.combined_p_value)) for each in tested])
    alpha, common = alphas.get("embeddings", 0.0), policy.floors.embedding
    return {
        each.name: _verdict(each, adjusted.get(each.name), alpha, policy.floor(each.name, common))
        for each in evidence.embeddings
    }


def _by_name(p_values: list[tuple[str, float]]) -> dict[str, float]:
    """Benjamini's and Hochberg's adjusted p-values."""
    if not p_values:
        return {}
    values = benjamini_hochberg([value for _, value in p_values])
    return {name: float(value) for (name, _), value in zip(p_values, values, strict=True)}


def _known(value: float | None) -> float:
    return 1.0 if value is None else value


def _verdict(column: Column | Embedding, adjusted: float | None, alpha: float, floor: float) -> ColumnVerdict:
    if adjusted is None or column.effect is None:
        return ColumnVerdict(name=column.name, drift=False, reason=column.note or "not tested")
    effect = column.effect
    significant, large = adjusted <= alpha, effect.value >= floor
    size = f"effect {effect.value:.3g} ({effect.low:.3g} to {effect.high:.3g} {effect.unit})"
    found = f"{size}, floor {floor:g}; adjusted p {adjusted:.2g}, level {alpha:.2g}"
    return ColumnVerdict(
        name=column.name,
        drift=significant and large,
        causes=("distribution",) if significant and large else (),
        adjusted_p_value=adjusted,
        significant=significant,
        large=large,
        floor=floor,
        reason=found,
    )


def _quality(evidence: Evidence, policy: DriftPolicy, alphas: dict[Family, float]) -> dict[str, list[Finding]]:
    """Findings that are drift by themselves, for each column."""
    found: dict[str, list[Finding]] = {}
    shares = {f"{share.name}: {share.what}": share for share in shares_of(evidence)}
    adjusted = _by_name([(key, share.gap.p_value) for key, share in shares.items()])
    for key, share in shares.items():
        change = abs(share.gap.current - share.gap.reference)
        if adjusted[key] <= alphas["quality"] and change >= policy.floors.missing:
            found.setdefault(share.name, []).append(share.finding(adjusted[key]))
    for finding in limits_broken(evidence, policy):
        found.setdefault(finding.column, []).append(finding)
    return found


def _with_faults(column: ColumnVerdict, faults: list[Finding]) -> ColumnVerdict:
    if not faults:
        return column
    reasons = [finding.text for finding in faults] + ([column.reason] if column.drift else [])
    causes: tuple[Cause, ...] = (*column.causes, "quality")
    return column.model_copy(update={"drift": True, "causes": causes, "reason": "; ".join(reasons)})
