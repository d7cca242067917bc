"""The running experiments, as a gateway assigns them: files and allocations followed in the background.

Placing a unit reads memory only. The rest (files, allocations, sticky assignments) is read again every second by
`refresh`, and whatever fails leaves what was known before.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from identity_masker.errors import MaskerError
from identity_masker.experiments import catalog
from identity_masker.experiments.assignment import Assignment, Rule, assign, bucket_ranges
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.exposure import ExposureLog
from identity_masker.experiments.sticky import assign_sticky
from identity_masker.experiments.sticky_table import StickyTable
from identity_masker.serving.allocations import AllocationLedger, AllocationRevision
from identity_masker.telemetry import logs

REFRESH_SECONDS = 1.0
log = logs.logger(__name__)


class Placed(NamedTuple):
    """A unit's variant in one experiment, and the model reference that serves it. `forced`: a tester, not counted."""

    experiment: str
    variant: str
    model: str
    forced: bool


class Placement(NamedTuple):
    """All experiments that a unit is in, and the exposures that are new: rows of the event log, but for `event_id`."""

    placed: tuple[Placed, ...]
    exposures: tuple[dict[str, Any], ...]

    @property
    def experiments(self) -> str:
        """The field `experiments` of a request's event."""
        return json.dumps({each.experiment: each.variant for each in self.placed if not each.forced})


@dataclass(frozen=True)
class Live:
    """One experiment with its rules by the time from which each applies, and the attributes that its analysis needs."""

    experiment: Experiment
    rules: tuple[tuple[float, Rule], ...]
    attributes: tuple[str, ...]

    def rule(self, now: float) -> Rule | None:
        """The rule in force; None when the experiment was stopped."""
        found = next(rule for since, rule in reversed(self.rules) if since <= now)
        return found if found.active else None


class LiveExperiments:
    """Places units in the running experiments of a configuration folder."""

    def __init__(self, control_url: str, folder: Path | None = None) -> None:
        """Raises `TemporaryError` when the control database does not answer, `BadInputError` for a wrong file."""
        self._folder = folder
        self._ledger = AllocationLedger(control_url)
        self._sticky = StickyTable(control_url)
        self._exposed = ExposureLog()
        self._live: tuple[Live, ...] = ()
        self._experiments: list[Experiment] = []
        self._files: object = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="experiments", daemon=True)
        self.refresh()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self.refresh()
        self._ledger.close()
        self._sticky.close()

    def place(self, unit: str, attributes: Mapping[str, Any], *, clock: Callable[[], float] = time.time) -> Placement:
        """Where `unit` stands in every running experiment. `attributes` come from outside and never name the unit."""
        now = clock()
        placed: list[Placed] = []
        exposures: list[dict[str, Any]] = []
        known = {**attributes, "user": unit}
        for live in self._live:
            rule = live.rule(now)
            if rule is None:
                continue
            found = assign_sticky(rule, known, self._sticky) if rule.sticky else assign(rule, known)
            if found.included or found.reason == "forced":
                model = live.experiment.variants[found.name].model
                placed.append(Placed(rule.key, found.name, model, not found.included))
                exposures += self._new(live, rule, found, known, now)
        return Placement(tuple(placed), tuple(exposures))

    def refresh(self) -> None:
        """Read files, allocations and sticky assignments again.

        Raises `BadInputError` for a wrong file and `TemporaryError` when the control database does not answer.
        """
        files = _state(self._folder)
        if files != self._files:
            self._experiments = [each for each in catalog.load_all(self._folder) if _served(each)]
            self._files = files
        revisions = self._ledger.all_revisions()
        self._live = tuple(live(each, revisions.get(each.name, [])) for each in self._experiments)
        if any(each.sticky for each in self._experiments):
            self._sticky.sync()

    def _follow(self) -> None:
        while not self._stopping.wait(REFRESH_SECONDS):
            try:
                self.refresh()
            except MaskerError as error:
                log.warning("experiments_not_refreshed", why=str(error))

    def _new(
        self, live: Live, rule: Rule, found: Assignment, attributes: Mapping[str, Any], now: float
    ) -> list[dict[str, Any]]:
        moment = datetime.fromtimestamp(now, tz=UTC)
        if self._exposed.first(rule, found, moment) is None:
            return []
        kept = {name: attributes[name] for name in live.attributes if name in attributes}
        row = {"experiment": rule.key, "unit": found.unit, "variant": found.name, "time": moment, "forced": False}
        return [{**row, "attributes": json.dumps(kept, default=str)}]


def live(experiment: Experiment, revisions: Sequence[AllocationRevision]) -> Live:
    """The experiment with the rules of its allocations; weights of variants that it does not have are left out."""
    rules = [(float("-inf"), experiment.rule)]
    rules += [
        (each.document.applies_from.timestamp(), _rule(experiment, each))
        for each in revisions
        if set(each.document.weights) == set(experiment.variants)
    ]
    named = dict.fromkeys([*experiment.analysis.segments, experiment.analysis.stratify_by])
    return Live(experiment, tuple(rules), tuple(name for name in named if name))


def _rule(experiment: Experiment, revision: AllocationRevision) -> Rule:
    weights = [revision.document.weights[name] for name in experiment.variants]
    ranges = tuple(bucket_ranges(len(weights), experiment.coverage, weights))
    return replace(experiment.rule, ranges=ranges, active=revision.document.state == "running")


def _served(experiment: Experiment) -> bool:
    if experiment.status == "running" and experiment.unit != "user":
        log.warning("experiment_not_assigned", experiment=experiment.name, why="the gateway knows users only")
    return experiment.status == "running" and experiment.unit == "user"


def _state(folder: Path | None) -> object:
    """Changes whenever a file of the folder does."""
    return sorted((str(path), path.stat().st_mtime_ns) for path in catalog.folder_of(folder).glob("*.yaml"))
