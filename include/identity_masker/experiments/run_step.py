"""The steps of the nightly evaluation: which experiments are due, one experiment's evaluation, and what it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import MaskerError
from identity_masker.experiments import archive, catalog
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.evaluation import evaluate
from identity_masker.experiments.event_source import Collected, collected
from identity_masker.experiments.evidence import Evidence
from identity_masker.experiments.gather import gather
from identity_masker.experiments.publishing import to_mlflow
from identity_masker.experiments.report import html, pictures
from identity_masker.experiments.result import Report
from identity_masker.experiments.steering import Adjusted, as_run, running, steer, unchanged
from identity_masker.serving.allocations import AllocationLedger
from identity_masker.settings import settings
from identity_masker.telemetry import logs

log = logs.logger(__name__)


class Due(BaseModel):
    """The experiments to evaluate, and up to when."""

    as_of: str
    experiments: list[str]


class Evaluated(BaseModel):
    """What one evaluation found and where it is.

    `version` is the model version to hand over: only with the decision `ship`, and only when one single version
    answered the winner's units; `version_reason` says why there is none. `promotion` names that hand-over. `alert`:
    somebody has to know.
    """

    model_config = ConfigDict(frozen=True)

    experiment: str
    as_of: str
    decision: str
    sentence: str
    reasons: list[str] = []
    winner: str | None = None
    version: str | None = None
    version_reason: str = ""
    promotion: str = ""
    alert: bool = False
    healthy: bool = False
    faults: list[str] = []
    missing_hours: int = 0
    units: int = 0
    allocation_revision: int = 0
    evidence: str | None = None
    report: str | None = None
    report_bytes: int = 0
    mlflow_run: str | None = None


def due(names: Sequence[str], as_of: datetime | None) -> Due:
    """The experiments called `names`, else all that run and were not stopped.

    `as_of` is by default the last midnight (UTC). Raises `BadInputError` when running experiments overlap in a layer.
    """
    known = catalog.load_all()
    with AllocationLedger(settings().control_url) as ledger:
        revisions = ledger.all_revisions()
    chosen = [catalog.load(name).name for name in names]
    chosen = chosen or [each.name for each in known if running(each, revisions.get(each.name, []))]
    return Due(as_of=moment(as_of).isoformat(), experiments=chosen)


def run(name: str, as_of: datetime | None) -> Evaluated:
    """Collect, examine, analyse, decide and report one experiment. The same again gives the same.

    Raises `BadInputError` for events that cannot be read and `TemporaryError` when store, control database or MLflow
    do not answer.
    """
    until = moment(as_of)
    with AllocationLedger(settings().control_url) as ledger:
        revisions = ledger.history(catalog.load(name).name)
    experiment = as_run(catalog.load(name), revisions)
    revision = revisions[-1].number if revisions else 0
    with collected(experiment, until) as found:
        if not found.units:
            said = "No result yet: no unit has met a variant."
            return Evaluated(
                experiment=name, as_of=until.isoformat(), decision="incomplete", sentence=said,
                alert=bool(found.missing), missing_hours=len(found.missing), allocation_revision=revision,
            )  # fmt: skip
        evidence = gather(
            experiment, found.exposures, found.outcomes,
            as_of=until, others=found.others, missing_hours=found.missing,
        )  # fmt: skip
    report = evaluate(experiment, evidence)
    result = _result(experiment, until, report, found, revision)
    return _stored(experiment, evidence, report, result)


def adjust(name: str, as_of: datetime | None) -> Adjusted:
    """Write what the stored evaluation asks for: new weights of a bandit, or the end of the experiment's entry.

    Before the first unit there is no evaluation, and nothing to write. Raises `ConflictError` when the allocation was
    changed after the evaluation.
    """
    experiment = catalog.load(name)
    stored = archive.name_of(moment(as_of))
    with AllocationLedger(settings().control_url) as ledger:
        if not artifacts.exists(archive.uri(experiment.name, stored, "result.json")):
            return unchanged(experiment, ledger.history(experiment.name))
        result = Evaluated.model_validate(archive.read(experiment.name, stored, "result.json"))
        report = Report.model_validate(archive.read(experiment.name, stored, "report.json"))
        return steer(experiment, report, ledger, expected=result.allocation_revision, now=datetime.now(UTC))


def moment(as_of: datetime | None) -> datetime:
    """`as_of` in UTC; the last midnight when there is none."""
    if as_of is None:
        return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)).astimezone(UTC)


def version_of(experiment: Experiment, winner: str, versions: Mapping[str, tuple[str, ...]]) -> tuple[str | None, str]:
    """The one model version that answered the winner's units; without requests, what the design's reference means."""
    served = versions.get(winner, ())
    if len(served) == 1:
        return served[0], "the version that answered the winner's units"
    if served:
        return None, f"{winner} was served by several versions ({', '.join(served)}): it is not known which one won"
    reference = experiment.variants[winner].model
    from identity_masker.registry import models

    try:
        return models.resolve(reference).version, f"no request names a version; the design says {reference}"
    except MaskerError as error:
        return None, f"no request names a version, and the design's {reference} cannot be resolved: {error}"


def _result(experiment: Experiment, until: datetime, report: Report, found: Collected, revision: int) -> Evaluated:
    winner = report.decision_details.winner
    version, why = version_of(experiment, winner, found.versions) if winner else (None, "")
    return Evaluated(
        experiment=experiment.name,
        as_of=until.isoformat(),
        decision=report.decision,
        sentence=report.decision_details.sentence,
        reasons=list(report.decision_details.reasons),
        winner=winner,
        version=version,
        version_reason=why,
        promotion=f"experiment__{experiment.name}__{archive.name_of(until)}",
        alert=report.decision != "go_on",
        healthy=report.health.ok,
        faults=list(report.health.faults),
        missing_hours=len(found.missing),
        units=found.units,
        allocation_revision=revision,
    )


def _stored(experiment: Experiment, evidence: Evidence, report: Report, result: Evaluated) -> Evaluated:
    """Write everything to the store and MLflow, the result last: who sees it, sees the rest."""
    page, drawn = html(experiment, report).encode(), pictures(experiment, report)
    run_id = to_mlflow(report, page, drawn)
    name = archive.name_of(evidence.as_of)
    whole = result.model_copy(
        update={
            "evidence": archive.uri(experiment.name, name, "evidence.json"),
            "report": archive.uri(experiment.name, name, "html"),
            "report_bytes": len(page),
            "mlflow_run": run_id,
        }
    )
    documents = {
        "html": page,
        "design.json": experiment.model_dump_json(indent=2).encode(),
        "report.json": report.model_dump_json(indent=2).encode(),
        "result.json": whole.model_dump_json(indent=2).encode(),
    }
    archive.save(evidence, documents)
    log.info("experiment_evaluated", experiment=experiment.name, decision=report.decision, healthy=report.health.ok)
    return whole
