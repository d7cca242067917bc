"""From a report to the experiment's allocation in the control database: new weights, or the end of entry.

What was in force when is read back from the same place, so that the analysis compares within periods of constant
weights and the sample-ratio test expects what was really drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ValidationError

from identity_masker.errors import BadInputError, ConflictError
from identity_masker.experiments.design import Experiment, WeightChange
from identity_masker.experiments.result import Report
from identity_masker.serving.allocations import AllocationDocument, AllocationLedger, AllocationRevision

# Gateways read the ledger every second; with this much notice all of them change over at the same moment.
NOTICE = timedelta(seconds=30)
ENDS = ("ship", "stop_harm", "stop_futility", "inconclusive")
AUTHOR = "evaluate_experiments"


class Adjusted(BaseModel):
    """What was written to the experiment's allocation, if anything."""

    experiment: str
    written: bool
    revision: int
    state: str
    weights: dict[str, float]
    reason: str


def as_run(experiment: Experiment, revisions: Sequence[AllocationRevision]) -> Experiment:
    """The design with the weights that were in force while it ran.

    Raises `BadInputError` when the stored weights are not those of the design's variants.
    """
    changes, now = [*experiment.weight_changes], _last_weights(experiment)
    for each in sorted(revisions, key=lambda found: found.document.applies_from):
        if each.document.weights != now:
            now = dict(each.document.weights)
            changes.append(WeightChange(at=each.document.applies_from, weights=now))
    if len(changes) == len(experiment.weight_changes):
        return experiment
    document = experiment.model_dump(mode="json", exclude_defaults=True)
    try:
        return Experiment.model_validate({**document, "weight_changes": changes})
    except ValidationError as error:
        raise BadInputError(
            "the weights in the control database do not fit the design",
            got=f"{experiment.name}: {error.errors()[0]['msg']}",
            fix="give the changed experiment a new name: its units were drawn for another design",
        ) from error


def running(experiment: Experiment, revisions: Sequence[AllocationRevision]) -> bool:
    """Whether units still enter: by the file, and by the newest revision."""
    return experiment.status == "running" and not (revisions and revisions[-1].document.state == "stopped")


def wanted(
    experiment: Experiment, report: Report, revisions: Sequence[AllocationRevision], now: datetime
) -> tuple[AllocationDocument, str] | None:
    """The document that the report asks for, and why; None when everything stays as it is.

    A pure function. Unhealthy and incomplete evidence changes nothing.
    """
    if not running(experiment, revisions):
        return None
    weights = _last_weights(as_run(experiment, revisions))
    if report.decision in ENDS:
        stopped = AllocationDocument(state="stopped", weights=weights, applies_from=now + NOTICE)
        return stopped, report.decision_details.sentence
    asked = report.allocation
    if report.decision != "go_on" or asked is None or not asked.changed or asked.weights == weights:
        return None
    return AllocationDocument(weights=asked.weights, applies_from=now + NOTICE), asked.reason


def steer(
    experiment: Experiment, report: Report, ledger: AllocationLedger, *, expected: int, now: datetime
) -> Adjusted:
    """Write what `report` asks for, if the allocation is still at the revision `expected` that the report saw.

    The same report again writes nothing. Raises `ConflictError` when somebody else wrote in between.
    """
    revisions = ledger.history(experiment.name)
    mark = f"evaluation of {report.as_of}: "
    done = revisions and revisions[-1].number == expected + 1 and revisions[-1].reason.startswith(mark)
    found = None if done else wanted(experiment, report, revisions, now)
    if found is None:
        return unchanged(experiment, revisions)
    if (revisions[-1].number if revisions else 0) != expected:
        raise ConflictError(
            "somebody changed the experiment's allocation after this evaluation",
            got=f"revision {revisions[-1].number} by {revisions[-1].author}",
            allowed=f"revision {expected}",
            fix="evaluate again",
        )
    document, why = found
    written = ledger.write(experiment.name, document, expected=expected, author=AUTHOR, reason=mark + why)
    return Adjusted(
        experiment=experiment.name,
        written=True,
        revision=written.number,
        state=document.state,
        weights=document.weights,
        reason=written.reason,
    )


def set_weights(
    experiment: Experiment, weights: dict[str, float], ledger: AllocationLedger, *, author: str, reason: str,
    now: datetime, stop: bool = False,
) -> Adjusted:  # fmt: skip
    """A person's own write: the weights given (none: those in force), running or stopped."""
    revisions = ledger.history(experiment.name)
    given = weights or _last_weights(as_run(experiment, revisions))
    try:
        document = AllocationDocument(state="stopped" if stop else "running", weights=given, applies_from=now + NOTICE)
    except ValidationError as error:
        raise BadInputError("these are no weights", got=error.errors()[0]["msg"]) from error
    if set(given) != set(experiment.variants):
        raise BadInputError(
            "the weights are not those of the variants", got=given, allowed=", ".join(experiment.variants)
        )
    expected = revisions[-1].number if revisions else 0
    ledger.write(experiment.name, document, expected=expected, author=author, reason=reason)
    return unchanged(experiment, ledger.history(experiment.name)).model_copy(update={"written": True})


def unchanged(experiment: Experiment, revisions: Sequence[AllocationRevision]) -> Adjusted:
    """The allocation as it stands."""
    last = revisions[-1] if revisions else None
    return Adjusted(
        experiment=experiment.name,
        written=False,
        revision=last.number if last else 0,
        state=last.document.state if last else experiment.status,
        weights=last.document.weights if last else _last_weights(experiment),
        reason=last.reason if last else "as the file says",
    )


def _last_weights(experiment: Experiment) -> dict[str, float]:
    if experiment.weight_changes:
        return dict(experiment.weight_changes[-1].weights)
    return {name: variant.weight for name, variant in experiment.variants.items()}
