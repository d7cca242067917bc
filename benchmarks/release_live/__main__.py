"""Releases under live traffic: fleet, model servers, gateway and traffic are real, and so are the faults.

python -m benchmarks.release_live            # about five minutes; docs/release.md holds the tables
python -m benchmarks.release_live split      # one part: drills or split

The stage and the faulty model servers are those of the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.experiments.tables import show
from tests.integration.fleet_processes import SMALL_SERVERS, all_ready, fleet_thread, free_ports, until
from tests.integration.release_figures import figures
from tests.integration.release_servers import BROKEN, SLOW, SOUND
from tests.integration.test_gateway import canary
from tests.integration.test_release import ERRORS, P95, Stage, drill, load
from tests.integration.test_serving import untrained

from identity_masker.release.policy import Policy
from identity_masker.serving.control import Deployment
from identity_masker.serving.gateway import GatewayConfig
from identity_masker.serving.traffic import TrafficOptions, send
from identity_masker.telemetry import logs

SHARE, REQUESTS, RATE = 0.2, 10_000, 150.0
LOAD = 40


class Drill(NamedTuple):
    """A version and the policy that it is released by."""

    name: str
    version: str
    policy: Policy


DRILLS = (
    Drill("sound", SOUND, drill(4, {"errors": ERRORS})),
    Drill("fails on 5 % of the pictures", BROKEN, drill(30, {"errors": ERRORS})),
    Drill("takes 50 ms longer", SLOW, drill(30, {"errors": ERRORS, "latency_p95": P95})),
)


class LightStage(Stage):
    """Model servers whose model costs next to nothing: what is measured is the gateway."""

    def fleet(self, folder: Path, model_dir: Path) -> AbstractContextManager[None]:
        return fleet_thread(self.url, folder / "fleet", free_ports(), SMALL_SERVERS)


def drills() -> None:
    lines = []
    for each in DRILLS:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            lines.append(_drilled(each, Path(folder), stack))
    show(("release", "outcome", "requests", "failed", "looks", "s from verdict to switch", "stray requests"), lines)


def _drilled(each: Drill, folder: Path, stack: ExitStack) -> tuple[object, ...]:
    config = GatewayConfig(events_dir=folder / "events")
    stage = Stage(folder, untrained(folder / "model", seed=0), stack, config)
    with load(stage.base, LOAD) as traffic:
        stage.start(each.version, each.policy)
        done = stage.drive(240.0)
    found = figures(stage, folder)
    return each.name, done.outcome, traffic.sent, traffic.failed, done.looks, f"{found.seconds:.2f}", found.stray


def split() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stage = LightStage(Path(folder), Path(folder), stack)
        stage.control.deploy(Deployment(version="2", semver="1.0.2", replicas=1), author="bench", reason="split")
        until(stage.control, all_ready(2))
        number = stage.control.revision_number()
        stage.control.write_routing(canary(SHARE), expected=number, author="bench", reason="split")
        options = TrafficOptions(url=stage.base, rate=RATE, seconds=REQUESTS / RATE, users=1_000_000, popularity=0)
        found = asyncio.run(send(options))
    achieved = found.by_variant.get("canary", 0) / found.requests
    failed = sum(found.failed.values())
    line = (f"{found.requests:,}", failed, f"{SHARE:.0%}", f"{achieved:.2%}", f"{100 * (achieved - SHARE):+.2f}")
    show(("requests", "failed", "asked", "achieved", "points off"), [line])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="all", choices=("all", "drills", "split"))
    part = parser.parse_args().part
    logs.configure(level="ERROR", correlation_id="", stream=sys.stderr, json_lines=True)
    if part in ("all", "split"):
        split()
        print()
    if part in ("all", "drills"):
        drills()


if __name__ == "__main__":
    main()
