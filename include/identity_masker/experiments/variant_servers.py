"""Model servers for the variants of running experiments: held while an experiment runs, let go after it.

What a variant is must not change while its experiment runs, so the version that its reference meant at the start is
kept in the control database, where every gateway reads it. Only `champion` follows the routing table.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from identity_masker.errors import BadInputError, MaskerError, TemporaryError
from identity_masker.experiments.design import Experiment
from identity_masker.release.rollout import Side
from identity_masker.release.rollout_log import RolloutLog
from identity_masker.release.target import Target
from identity_masker.serving.control import Control
from identity_masker.serving.deploy import Candidate, Registry
from identity_masker.serving.holds import Hold, Holds

Pins = Mapping[tuple[str, str], str]
CHAMPION = "champion"
AUTHOR = "experiments"
HOLDER = "experiment:"
POLL_SECONDS = 0.2
EXACT = re.compile(r"\d+(\.\d+\.\d+.*)?")


class Held(BaseModel):
    """A variant's version, kept for it."""

    model_config = ConfigDict(frozen=True)

    experiment: str
    variant: str
    model: str
    version: str
    semver: str


class VariantServers(BaseModel):
    """What is held now, and which versions were let go."""

    model_config = ConfigDict(frozen=True)

    held: list[Held]
    let_go: list[str]


def pins(holds: Iterable[Hold]) -> dict[tuple[str, str], str]:
    """The version of each (experiment, variant) that is held."""
    return {(h.holder.removeprefix(HOLDER), h.part): h.version for h in holds if h.holder.startswith(HOLDER)}


class Reconciler:
    """Brings model servers into line with the running experiments."""

    def __init__(self, control: Control, target: Target, registry: Registry, *, timeout: float) -> None:
        """`timeout`: seconds for the servers of all variants together to become ready."""
        self._control = control
        self._holds = Holds(control)
        self._target = target
        self._registry = registry
        self._timeout = timeout

    def reconcile(self, running: Sequence[Experiment]) -> VariantServers:
        """Hold, start and await the variants of `running`; let everything else go. The same again changes nothing.

        What goes wrong with one experiment keeps none of the others from being served. Raises afterwards:
        `BadInputError` for a version that is unknown, rejected, refuses to start or is another one than at the
        experiment's start, `TemporaryError` for one that is not ready in time.
        """
        began, problems, held = datetime.now(UTC), list[MaskerError](), list[Held]()
        let_go = self._let_go({HOLDER + each.name for each in running})
        for experiment in running:
            try:
                held += self._hold(experiment)
            except MaskerError as error:
                problems.append(error)
        problems += self._await({each.version: each.semver for each in held}, began)
        if problems:
            raise _together(problems)
        return VariantServers(held=held, let_go=let_go)

    def _hold(self, experiment: Experiment) -> list[Held]:
        """Write the version of each variant and ask for its servers."""
        before = {hold.part: hold for hold in self._holds.all() if hold.holder == HOLDER + experiment.name}
        fixed = {name: each.model for name, each in experiment.variants.items() if each.model != CHAMPION}
        found = {name: self._version(experiment.name, name, model, before.get(name)) for name, model in fixed.items()}
        for name, candidate in found.items():
            side = Side(version=candidate.version, semver=candidate.semver, replicas=1)
            self._holds.place(Hold(HOLDER + experiment.name, name, side.version, side.semver, side.replicas))
            deployed = self._control.deployment(side.version)
            if deployed is None or deployed.replicas < side.replicas:
                self._target.scale(side, side.replicas, author=AUTHOR, reason=f"variant {name} of {experiment.name}")
        return [
            Held(experiment=experiment.name, variant=name, model=fixed[name], version=each.version, semver=each.semver)
            for name, each in found.items()
        ]

    def _version(self, experiment: str, variant: str, model: str, before: Hold | None) -> Candidate:
        if before is not None and (not EXACT.fullmatch(model) or model in (before.version, before.semver)):
            return Candidate(before.version, before.semver)
        found = self._registry.resolve(model)
        where = f"variant {variant} of experiment {experiment}"
        if before is not None:
            raise BadInputError(
                f"the model of {where} was changed while it runs",
                got=f"{model}, after {before.semver}",
                fix="give the changed experiment a new name: its units have met another version",
            )
        if found.rejected:
            raise BadInputError(
                f"the gate rejected the model of {where}",
                got=f"version {found.version} ({found.semver})",
                fix="choose an accepted version",
            )
        return found

    def _await(self, versions: Mapping[str, str], since: datetime) -> list[MaskerError]:
        """What keeps versions from having a ready server when the time is over."""
        deadline = time.monotonic() + self._timeout
        while True:
            seen = {version: self._target.health(version, since) for version in versions}
            waiting = {version: health for version, health in seen.items() if not health.ready}
            if all(health.refused for health in waiting.values()) or time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)
        return [
            BadInputError(f"the model server refuses version {versions[version]}", got=health.refused)
            if health.refused
            else TemporaryError(
                f"no model server of version {versions[version]} is ready after {self._timeout:g} s",
                got=health.detail or "nobody took it up",
                fix="see the logs of the model servers, or allow more time with --timeout",
            )
            for version, health in waiting.items()
        ]

    def _let_go(self, holders: set[str]) -> list[str]:
        """Drop the holds of experiments that do not run, and the servers that nobody else needs."""
        over = [hold for hold in self._holds.all() if hold.holder.startswith(HOLDER) and hold.holder not in holders]
        for holder in {hold.holder for hold in over}:
            self._holds.drop(holder)
        sides = {hold.version: Side(version=hold.version, semver=hold.semver, replicas=1) for hold in over}
        gone = [side for version, side in sides.items() if not self._needed(version)]
        for side in gone:
            self._target.remove(side, author=AUTHOR, reason="its experiment is over")
        return [side.semver for side in gone]

    def _needed(self, version: str) -> bool:
        revision, newest = self._control.revision(), RolloutLog(self._control).newest()
        routed = {each.version for each in revision.table.variants.values()} if revision else set()
        rollout = newest.rollout if newest and not newest.rollout.ended else None
        released = {rollout.candidate.version, rollout.champion.version} if rollout else set()
        return version in routed | released or self._holds.floor(version) > 0


def _together(problems: list[MaskerError]) -> MaskerError:
    if len(problems) == 1:
        return problems[0]
    kind = TemporaryError if all(isinstance(each, TemporaryError) for each in problems) else BadInputError
    return kind("not every variant can be served", got="; ".join(map(str, problems)))
