"""Compare two windows from start to end: read, summarise, collect the evidence, judge it, and tell."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from identity_masker import artifacts
from identity_masker.drift import report
from identity_masker.drift.compare import collect
from identity_masker.drift.evidence import Column, Effect, Embedding, Evidence, Item, Window
from identity_masker.drift.kinds import Kind
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.quality import Finding
from identity_masker.drift.reference import Provenance, Reference, is_reference, load, save
from identity_masker.drift.summary import TableSummary
from identity_masker.drift.tables import MEMORY, summarise
from identity_masker.drift.verdict import Cause, ColumnVerdict, Outcome, judge
from identity_masker.errors import BadInputError

# Both sides draw the rows that they keep by keys of their own.
REFERENCE_SEED, CURRENT_SEED = 1, 2


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnResult(_Result):
    """A column's measures and verdict. What a kind of column does not have is null."""

    name: str
    kind: Kind
    drift: bool
    causes: tuple[Cause, ...] = ()
    status: str
    ks: float | None = None
    psi: float | None = None
    wasserstein: float | None = None
    mmd: float | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    effect: float | None = None
    effect_low: float | None = None
    effect_high: float | None = None
    effect_unit: str | None = None
    floor: float | None = None
    missing: tuple[float, float] | None = None
    different_rows: tuple[Item, ...] = ()
    reason: str


class CompareResult(_Result):
    """The verdict with its reasons, and what was measured of each column."""

    verdict: Outcome
    reasons: tuple[str, ...]
    causes: tuple[Cause, ...]
    rows: dict[str, int]
    columns: tuple[ColumnResult, ...]
    findings: tuple[Finding, ...]
    one_false_alarm_in_nights: int
    levels: dict[str, float]
    report: str | None = None
    evidence: str | None = None


class SummariseResult(_Result):
    """Where the reference lies, its identity, and what is in it."""

    reference: str
    sha256: str
    rows: int
    columns: dict[str, Kind]
    model_version: str | None
    bytes: int


def compare_sources(
    reference: str,
    current: str,
    policy: DriftPolicy,
    *,
    model_version: str | None = None,
    report_uri: str | None = None,
    evidence_uri: str | None = None,
    threads: int = 1,
) -> CompareResult:
    """Compare the table `current` with `reference`, a table or a stored reference, and judge the difference.

    Writes the HTML report and the evidence document where the URIs say. Raises `BadInputError` (of which
    `NotFoundError`) for tables that cannot be read and references of another model version.
    """
    before, window = _reference(reference, policy, model_version, threads)
    now = summarise(current, policy, seed=CURRENT_SEED, threads=threads)
    evidence = collect(before, now, policy, reference=window, current=Window(source=current, rows=now.rows))
    return told(evidence, policy, report_uri=report_uri, evidence_uri=evidence_uri)


def judge_stored(uri: str, policy: DriftPolicy, *, report_uri: str | None = None) -> CompareResult:
    """Judge stored evidence again. Raises `NotFoundError`, or `BadInputError` for a file that is not evidence."""
    try:
        evidence = Evidence.model_validate_json(artifacts.read_bytes(uri))
    except ValidationError as error:
        raise BadInputError("this is not drift evidence", got=f"{uri}: {error.errors()[0]['msg']}") from error
    return told(evidence, policy, report_uri=report_uri).model_copy(update={"evidence": uri})


def told(
    evidence: Evidence, policy: DriftPolicy, *, report_uri: str | None = None, evidence_uri: str | None = None
) -> CompareResult:
    """The verdict on `evidence` as a result, with report and evidence written where asked."""
    verdict = judge(evidence, policy)
    if evidence_uri:
        artifacts.write_bytes(evidence_uri, evidence.model_dump_json(indent=1).encode())
    if report_uri:
        artifacts.write_bytes(report_uri, report.page(evidence, verdict, policy).encode())
    judged = {column.name: column for column in verdict.columns}
    return CompareResult(
        verdict=verdict.verdict,
        reasons=verdict.reasons,
        causes=verdict.causes,
        rows={"reference": evidence.reference.rows, "current": evidence.current.rows},
        columns=tuple(_column(column, judged[column.name]) for column in evidence.measured),
        findings=verdict.findings,
        one_false_alarm_in_nights=policy.false_alarms.nights,
        levels=verdict.alphas,
        report=report_uri,
        evidence=evidence_uri,
    )


def make_reference(
    source: str,
    output: str,
    policy: DriftPolicy,
    *,
    model_version: str | None = None,
    dataset: str | None = None,
    threads: int = 1,
    memory: str = MEMORY,
) -> SummariseResult:
    """Summarise the table `source` out of core and store the reference under `output`."""
    summary = summarise(source, policy, seed=REFERENCE_SEED, threads=threads, memory=memory)
    provenance = Provenance(source=source, model_version=model_version, dataset=dataset)
    digest = save(Reference(provenance, summary), output)
    size = sum(len(artifacts.read_bytes(artifacts.join(output, name))) for name in artifacts.names(output))
    return SummariseResult(
        reference=output,
        sha256=digest,
        rows=summary.rows,
        columns=summary.kinds,
        model_version=model_version,
        bytes=size,
    )


def _reference(
    source: str, policy: DriftPolicy, model_version: str | None, threads: int
) -> tuple[TableSummary, Window]:
    if is_reference(source):
        stored = load(source, model_version=model_version)
        summary, version = stored.under(policy), stored.provenance.model_version
        return summary, Window(source=stored.provenance.source, rows=summary.rows, model_version=version)
    if model_version is not None:
        raise BadInputError(
            "a table does not know its model version",
            got=source,
            fix="leave --model-version away, or name a folder made by `masker drift summarise`",
        )
    summary = summarise(source, policy, seed=REFERENCE_SEED, threads=threads)
    return summary, Window(source=source, rows=summary.rows)


def _column(column: Column | Embedding, judged: ColumnVerdict) -> ColumnResult:
    kind: Kind = column.kind if isinstance(column, Column) else "embedding"
    own = _of_column(column) if isinstance(column, Column) else _of_embedding(column)
    return ColumnResult(
        name=column.name,
        kind=kind,
        drift=judged.drift,
        causes=judged.causes,
        status=column.status,
        adjusted_p_value=judged.adjusted_p_value,
        floor=judged.floor,
        missing=(column.missing.reference, column.missing.current) if column.missing else None,
        reason=judged.reason,
        **own,
        **_of_effect(column.effect),
    )


def _of_column(column: Column) -> dict[str, Any]:
    return {
        "ks": column.ks,
        "psi": column.psi,
        "wasserstein": column.wasserstein,
        "p_value": column.p_value,
    }


def _of_embedding(column: Embedding) -> dict[str, Any]:
    return {"mmd": column.mmd, "p_value": column.combined_p_value, "different_rows": column.different}


def _of_effect(effect: Effect | None) -> dict[str, Any]:
    if effect is None:
        return {}
    return {
        "effect": effect.value,
        "effect_low": effect.low,
        "effect_high": effect.high,
        "effect_unit": effect.unit,
    }
