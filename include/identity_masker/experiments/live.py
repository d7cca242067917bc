"""The running experiments, as a gateway assigns them: files and allocations followed in the background.

Placing a unit reads memory only. The rest (files, allocations, versions, sticky assignments) is read again every second
by `refresh`, and what fails leaves what was known before.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from identity_masker.errors import MaskerError
from identity_masker.experiments import catalog, variant_servers
from identity_masker.experiments.assignment import Rule, assign, bucket_ranges
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.live_versions import LiveVersions
from identity_masker.experiments.sticky import assign_sticky
from identity_masker.experiments.sticky_table import StickyTable
from identity_masker.experiments.variant_servers import Pins
from identity_masker.serving.allocations import AllocationLedger, AllocationRevision
from identity_masker.serving.control import Control
from identity_masker.serving.exposures import Attributes, Exposure
from identity_masker.serving.holds import Holds
from identity_masker.telemetry import logs

REFRESH_SECONDS = 1.0
log = logs.logger(__name__)


@dataclass(frozen=True)
class Live:
    """One experiment: its rules, each with the time from which it applies, and the version that serves each variant."""

    experiment: Experiment
    rules: tuple[tuple[float, Rule], ...]
    versions: tuple[str, ...]

    def rule(self, now: float) -> Rule | None:
        """The rule in force; None when the experiment was stopped."""
        found = next(rule for since, rule in reversed(self.rules) if since <= now)
        return found if found.active else None


class _Stores:
    """What is followed in the control database."""

    def __init__(self, url: str) -> None:
        """Raises `TemporaryError` when the control database does not answer."""
        self.ledger = AllocationLedger(url)
        self.control = Control(url)
        self.versions = LiveVersions(self.control)
        self.sticky = StickyTable(url)
        self.holds = Holds(self.control)

    def close(self) -> None:
        for each in (self.control, self.ledger, self.sticky):
            each.close()


class LiveExperiments:
    """Says which running experiments a unit is in: what the gateway takes as `assign`."""

    def __init__(self, control_url: str, folder: Path | None = None, *, clock: Callable[[], float] = time.time) -> None:
        """Opens nothing yet: while files or database cannot be read, there are no experiments, and masking goes on."""
        self._url = control_url
        self._folder = folder
        self._clock = clock
        self._stores: _Stores | None = None
        self._live: tuple[Live, ...] = ()
        self._experiments: list[Experiment] = []
        self._files: object = None
        self._said: object = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="experiments", daemon=True)

    def __enter__(self) -> Self:
        self._attempt()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._attempt()
        if self._stores is not None:
            self._stores.close()

    def __call__(self, unit: str, attributes: Attributes) -> tuple[Exposure, ...]:
        """The unit's variant in every experiment that it is in. `attributes` come from outside: none names the unit."""
        now, stores = self._clock(), self._stores
        exposures: list[Exposure] = []
        known = {**attributes, "user": unit}
        for live in self._live:
            rule = live.rule(now)
            if rule is None:
                continue
            found = assign_sticky(rule, known, stores.sticky) if rule.sticky and stores else assign(rule, known)
            if found.included or found.reason == "forced":
                exposures.append(Exposure(rule.key, found.name, live.versions[found.variant], not found.included))
        return tuple(exposures)

    def refresh(self) -> None:
        """Read files, allocations, versions and sticky assignments again.

        Raises `BadInputError` for a wrong file and `TemporaryError` when the control database does not answer.
        """
        files = _state(self._folder)
        if files != self._files:
            self._experiments = [each for each in catalog.load_all(self._folder) if each.status == "running"]
            self._files = files
        if not self._experiments:
            self._live = ()
            return
        self._stores = stores = self._stores or _Stores(self._url)
        revisions = stores.ledger.all_revisions()
        stores.versions.refresh()
        if any(each.sticky for each in self._experiments):
            stores.sticky.sync()
        pins = variant_servers.pins(stores.holds.all())
        found = [_served(each, revisions.get(each.name, []), stores.versions, pins) for each in self._experiments]
        self._live = tuple(each for each in found if each is not None)
        self._say_idle()

    def _say_idle(self) -> None:
        idle = frozenset({each.name for each in self._experiments} - {each.experiment.name for each in self._live})
        if idle:
            why = "the unit is not the user, or a variant's version is not deployed"
            self._say("experiments_not_assigned", experiments=sorted(idle), why=why)

    def _follow(self) -> None:
        while not self._stopping.wait(REFRESH_SECONDS):
            self._attempt()

    def _attempt(self) -> None:
        try:
            self.refresh()
        except MaskerError as error:
            self._say("experiments_not_refreshed", why=str(error))

    def _say(self, event: str, **fields: object) -> None:
        """Log what is wrong once, not every second."""
        if self._said != (event, fields):
            self._said = (event, fields)
            log.warning(event, **fields)


def live(experiment: Experiment, revisions: Sequence[AllocationRevision], versions: tuple[str, ...]) -> Live:
    """The experiment with the rules of its allocations; weights of variants that it does not have are left out."""
    rules = [(float("-inf"), experiment.rule)]
    rules += [
        (each.document.applies_from.timestamp(), _rule(experiment, each))
        for each in revisions
        if set(each.document.weights) == set(experiment.variants)
    ]
    return Live(experiment, tuple(rules), versions)


def _served(
    experiment: Experiment, revisions: Sequence[AllocationRevision], known: LiveVersions, pins: Pins
) -> Live | None:
    """The experiment, if every variant has a model server: arms that all meet the champion would not differ."""
    found = (known.of(each.model, pins.get((experiment.name, name))) for name, each in experiment.variants.items())
    versions = tuple(version for version in found if version)
    if experiment.unit != "user" or len(versions) < len(experiment.variants):
        return None
    return live(experiment, revisions, versions)


def _rule(experiment: Experiment, revision: AllocationRevision) -> Rule:
    weights = [revision.document.weights[name] for name in experiment.variants]
    ranges = tuple(bucket_ranges(len(weights), experiment.coverage, weights))
    return replace(experiment.rule, ranges=ranges, active=revision.document.state == "running")


def _state(folder: Path | None) -> object:
    """Changes whenever a file of the folder does."""
    return sorted((str(path), path.stat().st_mtime_ns) for path in catalog.folder_of(folder).glob("*.yaml"))
