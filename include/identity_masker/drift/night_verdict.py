"""The verdict on a window of traffic as a document, stored beside its evidence."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from identity_masker import artifacts
from identity_masker.drift import archive
from identity_masker.drift.alert_message import Alert
from identity_masker.drift.estimates import Estimated
from identity_masker.drift.evidence import Column, Evidence
from identity_masker.drift.traffic_policy import Group
from identity_masker.drift.verdict import Outcome, Verdict
from identity_masker.errors import BadInputError, NotFoundError


class Score(BaseModel):
    """A column in numbers; what its kind does not have is null."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    drift: bool
    effect: float | None = None
    floor: float | None = None
    adjusted_p_value: float | None = None
    ks: float | None = None
    psi: float | None = None
    wasserstein: float | None = None


class NightVerdict(BaseModel):
    """The verdict on a window of traffic, stored as `verdict.json` beside its evidence.

    `drifted`: columns by group. `faults`: columns with a fault of the data. `slow`: columns that many nights together
    show. `alert`: what people are told, null for nothing. `retrain`: whether `drift_found` is announced.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: str
    version: str
    semver: str
    verdict: Outcome
    reasons: tuple[str, ...]
    drifted: dict[Group, tuple[str, ...]] = {}
    columns: tuple[Score, ...] = ()
    faults: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    hours: int
    missing_hours: tuple[str, ...] = ()
    requests: int
    pictures: int
    estimates: tuple[Estimated, ...] = ()
    alert: Alert | None = None
    retrain: bool = False
    training: str = ""
    evidence: str
    report: str
    report_bytes: int = 0
    mlflow_run: str | None = None


def load_verdict(folder: str) -> NightVerdict:
    """The stored verdict of the window at `folder`. Raises `NotFoundError`, or `BadInputError` for another document."""
    uri = artifacts.join(folder, archive.VERDICT)
    if not artifacts.exists(uri):
        raise NotFoundError("the window was not judged", got=folder, fix="run `masker drift verdict` first")
    try:
        return NightVerdict.model_validate_json(artifacts.read_bytes(uri))
    except ValidationError as error:
        raise BadInputError("this is no verdict", got=f"{uri}: {error.errors()[0]['msg']}") from error


class ReportResult(BaseModel):
    """Where the page was written."""

    report: str
    bytes: int
    verdict: Outcome


def write_report(folder: str, output: Path) -> ReportResult:
    """Copy the page of the judged window at `folder` to `output`. Raises `NotFoundError` when it was not judged."""
    found = load_verdict(folder)
    content = artifacts.read_bytes(found.report)
    artifacts.write_bytes(str(output.absolute()), content)
    return ReportResult(report=str(output), bytes=len(content), verdict=found.verdict)


def scores(evidence: Evidence, verdict: Verdict) -> tuple[Score, ...]:
    """All measured columns in numbers."""
    judged = {column.name: column for column in verdict.columns}
    return tuple(
        Score(
            name=each.name,
            drift=judged[each.name].drift,
            effect=each.effect.value if each.effect else None,
            floor=judged[each.name].floor,
            adjusted_p_value=judged[each.name].adjusted_p_value,
            **({"ks": each.ks, "psi": each.psi, "wasserstein": each.wasserstein} if isinstance(each, Column) else {}),
        )
        for each in evidence.measured
    )
