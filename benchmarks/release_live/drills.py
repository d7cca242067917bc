"""What is released, by which policy and under which traffic, and what came of it."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.release_live.stages import Kind, Stages
from tests.integration.release_figures import figures
from tests.integration.release_servers import BROKEN, LEAKY, SLOW, SOUND
from tests.integration.strategy_drills import BLUE_GREEN, ROLLING, quick
from tests.integration.test_release import ERRORS, PACED_RATE, PATIENT, RATE, SLOWER, Stage, load, one_size
from tests.integration.test_release_quality import LEAK, known_face

from identity_masker.release.looks import Looks
from identity_masker.release.policy import Policy
from identity_masker.serving.deploy import DeployOptions, deploy

HEAD = (
    "release", "outcome", "requests", "failed", "looks", "champion", "candidate", "s from verdict to switch",
    "stray requests",
)  # fmt: skip
LONGEST = 600.0
CANARY = quick(canary={"steps": [{"share": share, "soak_seconds": 4} for share in (0.2, 0.5, 1.0)]})


class Drill(NamedTuple):
    """A version and how it is released. `metric`: the one whose levels are shown."""

    name: str
    version: str
    policy: Policy
    kind: Kind = "plain"
    rate: int = RATE
    metric: str = "errors"
    replicas: int = 1


DRILLS = (
    Drill("sound: canary", SOUND, CANARY),
    Drill("sound: blue-green", SOUND, BLUE_GREEN),
    Drill("sound: rolling", SOUND, ROLLING, replicas=2),
    Drill("fails on 5 % of the pictures", BROKEN, CANARY),
    Drill("calls take half as long again", SLOW, SLOWER, "paced", PACED_RATE, "latency_p95"),
    Drill("leaks", LEAKY, quick(canary=PATIENT, metrics={"errors": ERRORS, "leak": LEAK}), "examined", metric="leak"),
)


def run(drill: Drill, stages: Stages) -> tuple[object, ...]:
    """The row of one drill."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        stage = stages(drill.kind, folder, stack)
        if drill.replicas > 1:
            wanted = DeployOptions(reference="1", author="bench", replicas=drill.replicas, timeout=400)
            deploy(wanted, stage.registry, stage.control)
        with load(stage.base, drill.rate, *_pictures(drill, folder)) as traffic:
            rollout = stage.start(drill.version, drill.policy)
            done = stage.drive(LONGEST)
        found = figures(stage, folder)
        levels = _levels(stage, rollout, drill.metric)
    return (
        drill.name, done.outcome, f"{traffic.sent:,}", traffic.failed, done.looks, *levels, f"{found.seconds:.2f}",
        found.stray,
    )  # fmt: skip


def _pictures(drill: Drill, folder: Path) -> tuple[str, ...]:
    if drill.kind == "paced":
        return one_size(folder)
    return known_face(folder) if drill.kind == "examined" else ()


def _levels(stage: Stage, rollout: str, metric: str) -> tuple[str, str]:
    """Of champion and candidate, over all intervals that were judged."""
    last = Looks(stage.store, rollout).all()[-1]
    (found,) = [each for each in last.verdict.metrics if each.name == metric]
    champion, canary = found.champion or 0.0, found.canary or 0.0
    if metric == "latency_p95":
        return f"p95 {champion:,.0f} ms", f"p95 {canary:,.0f} ms"
    return f"{metric} {champion:.3f}", f"{metric} {canary:.3f}"
