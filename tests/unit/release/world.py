"""A small world for rollouts: a real control database and store, a clock that is set, and traffic that is computed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from tests.unit.serving.test_deploy import ListedRegistry, endpoint

from identity_masker.errors import TemporaryError
from identity_masker.release import start as starting
from identity_masker.release.driver import Driver
from identity_masker.release.gateway_metrics import Snapshot, Sums
from identity_masker.release.policy import Policy, parse_policy
from identity_masker.release.progress import Progress
from identity_masker.release.rollout import Rollout
from identity_masker.release.rollout_log import RolloutLog
from identity_masker.release.target import FleetTarget
from identity_masker.serving.answers import BOUNDS
from identity_masker.serving.control import Control, Deployment
from identity_masker.serving.routing import RoutingTable, choose, only

BEGIN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
REQUESTS_A_SECOND = 200.0


def policy(**changes: Any) -> Policy:
    """A canary of two small steps and a full one, judged every 10 s."""
    document: dict[str, Any] = {
        "strategy": "canary",
        "canary": {
            "steps": [
                {"share": 0.1, "soak_seconds": 20},
                {"share": 0.5, "soak_seconds": 20},
                {"share": 1.0, "soak_seconds": 10},
            ]
        },
        "interval_seconds": 10,
        "lease_seconds": 30,
        "ready_seconds": 60,
        "metrics": {
            "errors": {"kind": "share", "margin": 2.0, "negligible": 0.01, "floor": 0.05, "weight": 3.0},
            "latency_p95": {
                "kind": "quantile", "of": "latency_ms", "quantile": 0.95, "margin": 1.5, "required": False,
                "noise": {"sd": 0.1},
            },
        },
        "deadline": {"seconds": 600, "then": "roll_back"},
    }  # fmt: skip
    section = changes.get("strategy")
    if section in ("blue_green", "rolling", "shadow"):
        document.pop("canary")
    return parse_policy({**document, **changes})


class NamedRegistry(ListedRegistry):
    """Also keeps tags and takes the challenger's alias away."""

    def __init__(self) -> None:
        super().__init__()
        self.aliases = {"champion": "1", "challenger": "2"}
        self.tags: dict[str, dict[str, str]] = {}

    def name_champion(self, version: str, previous: str | None) -> None:
        super().name_champion(version, previous)
        self.withdraw(version)

    def withdraw(self, version: str) -> None:
        if self.aliases.get("challenger") == version:
            del self.aliases["challenger"]

    def note(self, version: str, tags: dict[str, str]) -> None:
        self.tags[version] = tags


class ComputedGateway:
    """Counts what a gateway would have answered since it was last asked, by the routing table as it stood."""

    def __init__(self, control: Control, now: Callable[[], datetime]) -> None:
        self.error_shares = {"1": 0.001, "2": 0.001}
        self.leaks = {"1": 0.1, "2": 0.1}
        self.examiner = ""
        self.silent = False
        self.process_start = 1.0
        self._control, self._now, self._read_at = control, now, now()
        self._rng = np.random.default_rng(1)
        self._counts: dict[str, dict[str, np.ndarray]] = {}
        self._mirrored: dict[str, dict[str, np.ndarray]] = {}
        self._quality: dict[str, dict[str, Sums]] = {}
        self._mirrored_quality: dict[str, dict[str, Sums]] = {}

    def restart(self) -> None:
        self.process_start += 1.0
        for counted in (self._counts, self._mirrored, self._quality, self._mirrored_quality):
            counted.clear()

    def read(self) -> Snapshot:
        if self.silent:
            raise TemporaryError("the gateway does not tell its metrics")
        revision = self._control.revision()
        assert revision is not None
        self._answer(revision.table, (self._now() - self._read_at).total_seconds())
        self._read_at = self._now()
        return Snapshot(
            process_start=self.process_start,
            revision=revision.number,
            bounds=BOUNDS,
            answers=_tuples(self._counts),
            mirrored=_tuples(self._mirrored),
            examiner=self.examiner,
            quality=_copied(self._quality),
            mirrored_quality=_copied(self._mirrored_quality),
        )

    def _answer(self, table: RoutingTable, seconds: float) -> None:
        for variant in table.variants.values():
            n = round(REQUESTS_A_SECOND * seconds * variant.share)
            self._count(variant.version, n, self._counts, self._quality)
            copies = round(REQUESTS_A_SECOND * seconds * variant.mirror)
            for version in (table.champion_version, variant.version) if copies else ():
                self._count(version, copies, self._mirrored, self._mirrored_quality)

    def _count(
        self, version: str, n: int, answers: dict[str, dict[str, np.ndarray]], quality: dict[str, dict[str, Sums]]
    ) -> None:
        failed = self._rng.binomial(n, self.error_shares[version])
        for outcome, count in (("ok", n - failed), ("failed", failed)):
            places = np.searchsorted(BOUNDS, self._rng.lognormal(-3.0, 0.3, count))
            counts = answers.setdefault(version, {}).setdefault(outcome, np.zeros(len(BOUNDS) + 1, dtype=np.int64))
            counts += np.bincount(places, minlength=len(BOUNDS) + 1)
        if not self.examiner:
            return
        leaks = self._rng.beta(1.0, 1.0 / self.leaks[version] - 1.0, n // 10)
        many, total, squares = quality.setdefault(version, {}).get("leak", (0, 0.0, 0.0))
        sums = (many + len(leaks), total + float(leaks.sum()), squares + float(leaks @ leaks))
        quality[version]["leak"] = sums


def _tuples(counted: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, tuple[int, ...]]]:
    return {
        version: {outcome: tuple(int(n) for n in counts) for outcome, counts in outcomes.items()}
        for version, outcomes in counted.items()
    }


def _copied(quality: dict[str, dict[str, Sums]]) -> dict[str, dict[str, Sums]]:
    return {version: dict(measures) for version, measures in quality.items()}


class World:
    """Everything that a rollout touches, and the hands that move the clock. Version 1 serves, 2 waits."""

    def __init__(self, folder: Path, control: Control, replicas: int = 1) -> None:
        self.control, self.registry = control, NamedRegistry()
        self.store = f"file://{folder}/store"
        self.moment = BEGIN
        self.gateway = ComputedGateway(control, lambda: self.moment)
        self.unready: set[str] = set()
        control.deploy(Deployment(version="1", semver="1.0.0", replicas=replicas), author="test", reason="test")
        control.write_routing(only("1", "1.0.0"), expected=0, author="test", reason="test")
        self.fleet()

    def driver(self) -> Driver:
        target = FleetTarget(self.control)
        return Driver(self.control, target, self.gateway, self.registry, self.store, now=lambda: self.moment)

    def start(self, how: Policy | None = None, reference: str = "2", key: str = "") -> Rollout:
        options = starting.StartOptions(
            reference=reference, policy_name="test", policy=how or policy(), key=key, author="test"
        )
        return starting.start(options, self.registry, self.control, self.moment)

    def fleet(self) -> None:
        """Brings up what is wanted and lets go what is not."""
        wanted = {f"{d.version}-{n}": d.version for d in self.control.deployments() for n in range(d.replicas)}
        for slot, version in wanted.items():
            state = "starting" if version in self.unready else "ready"
            self.control.record_endpoint(endpoint(version, slot=slot, state=state, url=f"http://127.0.0.1/{slot}"))
        for gone in self.control.endpoints():
            if gone.slot not in wanted:
                self.control.forget_endpoint(gone.owner, gone.slot)

    def step(self, driver: Driver | None = None) -> Progress:
        """One step of the rollout, and the time until the next."""
        done = (driver or self.driver()).advance()
        self.fleet()
        self.moment += timedelta(seconds=done.wait_seconds + 0.01)
        return done

    def run(self, until: Callable[[Progress], bool] = lambda done: done.ended, steps: int = 2000) -> Progress:
        driver = self.driver()
        for _ in range(steps):
            done = self.step(driver)
            if until(done):
                return done
        raise AssertionError(done)

    @property
    def table(self) -> RoutingTable:
        revision = self.control.revision()
        assert revision is not None
        return revision.table

    @property
    def rollout(self) -> Rollout:
        entry = RolloutLog(self.control).newest()
        assert entry is not None
        return entry.rollout

    def shares(self) -> list[float]:
        """The candidate's share in each revision, oldest first, without repetitions."""
        tables = [revision.table for revision in reversed(self.control.history(1000))]
        found = [sum(v.share for v in table.variants.values() if v.version == "2") for table in tables]
        return [share for n, share in enumerate(found) if n == 0 or share != found[n - 1]]

    def answered_by(self, who: str = "anybody") -> str:
        """The version that a gateway would give a user now."""
        served = {e.version for e in self.control.endpoints() if e.state == "ready"}
        return self.table.variants[choose(self.table, who, self.moment, served).variant].version

    def deployed(self) -> dict[str, int]:
        return {d.version: d.replicas for d in self.control.deployments()}
