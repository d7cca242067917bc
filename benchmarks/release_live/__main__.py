"""Releases under live traffic: fleet, model servers, gateway and traffic are real, and so are the faults.

python -m benchmarks.release_live                        # about ten minutes; docs/release.md holds the tables
python -m benchmarks.release_live split                  # one part: drills or split
python -m benchmarks.release_live --target kubernetes    # pods from SERVING_IMAGE, in the cluster at KUBECONFIG

The stages and the faulty model servers are those of the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.experiments.tables import show
from benchmarks.release_live import drills
from benchmarks.release_live.stages import Stages, stages
from tests.integration.fleet_processes import all_ready, until
from tests.integration.test_gateway import canary

from identity_masker.serving.control import Deployment
from identity_masker.serving.traffic import TrafficOptions, send
from identity_masker.telemetry import logs

SHARE, REQUESTS, RATE = 0.2, 10_000, 100.0


def split(made: Stages) -> tuple[object, ...]:
    """Asked and achieved share of the canary, over `REQUESTS` requests of as many users."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stage = made("light", Path(folder), stack)
        stage.control.deploy(Deployment(version="2", semver="1.0.2", replicas=1), author="bench", reason="split")
        until(stage.control, all_ready(2), seconds=stage.ready_seconds)
        number = stage.control.revision_number()
        stage.control.write_routing(canary(SHARE), expected=number, author="bench", reason="split")
        options = TrafficOptions(url=stage.base, rate=RATE, seconds=REQUESTS / RATE, users=1_000_000, popularity=0)
        found = asyncio.run(send(options))
    achieved = found.by_variant.get("canary", 0) / found.requests
    failed = sum(found.failed.values())
    return f"{found.requests:,}", failed, f"{SHARE:.0%}", f"{achieved:.2%}", f"{100 * (achieved - SHARE):+.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="all", choices=("all", "drills", "split"))
    parser.add_argument("--target", default="local", choices=("local", "kubernetes"))
    parser.add_argument("--drill", help="Only those whose names hold this.", default="")
    asked = parser.parse_args()
    logs.configure(level="ERROR", correlation_id="", stream=sys.stderr, json_lines=True)
    with tempfile.TemporaryDirectory() as shared, stages(asked.target, Path(shared)) as made:
        if asked.part in ("all", "split"):
            show(("requests", "failed", "asked", "achieved", "points off"), [split(made)])
            print(flush=True)
        if asked.part in ("all", "drills"):
            chosen = [drill for drill in drills.DRILLS if asked.drill in drill.name]
            show(drills.HEAD, (drills.run(drill, made) for drill in chosen))


if __name__ == "__main__":
    main()
