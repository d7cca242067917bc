"""The step `weights`: read and change an experiment's weights by hand."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

from pydantic import BaseModel

from identity_masker.experiments import catalog
from identity_masker.experiments.steering import Adjusted, set_weights, unchanged
from identity_masker.serving.allocations import AllocationLedger
from identity_masker.settings import settings


class Written(BaseModel):
    """One revision of an allocation."""

    revision: int
    state: str
    weights: dict[str, float]
    applies_from: str
    author: str
    reason: str
    written_at: str


class History(BaseModel):
    """The allocation as it stands, and all revisions, oldest first."""

    experiment: str
    state: str
    weights: dict[str, float]
    revisions: list[Written]


def history(name: str) -> History:
    """The weights of experiment `name`."""
    experiment = catalog.load(name)
    with AllocationLedger(settings().control_url) as ledger:
        revisions = ledger.history(experiment.name)
    now = unchanged(experiment, revisions)
    rows = [
        Written(
            revision=each.number,
            state=each.document.state,
            weights=each.document.weights,
            applies_from=each.document.applies_from.isoformat(),
            author=each.author,
            reason=each.reason,
            written_at=each.written_at,
        )
        for each in revisions
    ]
    return History(experiment=experiment.name, state=now.state, weights=now.weights, revisions=rows)


def change(name: str, weights: dict[str, float], *, author: str, reason: str, stop: bool) -> Adjusted:
    """Write new weights (none: those in force), running or stopped. Raises `BadInputError` for what is no weights."""
    experiment = catalog.load(name)
    with AllocationLedger(settings().control_url) as ledger:
        return set_weights(
            experiment, weights, ledger,
            author=author or getpass.getuser(), reason=reason, now=datetime.now(UTC), stop=stop,
        )  # fmt: skip
