"""Releases judged by what an examiner says of live answers; fleet, servers, gateway, examiner and traffic are real."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.release_servers import LEAKY, SOUND
from tests.integration.test_release import ERRORS, Stage, drill, load
from tests.integration.test_serving import untrained
from tests.unit.masking.small_faces import faces
from tests.unit.release.world import policy
from tests.unit.serving.examiners import small_examiner

from identity_masker.release.looks import Looks
from identity_masker.release.policy import Policy
from identity_masker.serving.gateway import GatewayConfig
from identity_masker.serving.pictures import encode
from identity_masker.telemetry.events.reading import newest

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]
PATIENCE = 120.0
LEAK = {"kind": "mean", "margin": 1.5, "noise": {"sd": 0.05}}
"""On a machine that others use too: no errors, and no latencies, are to decide these."""


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("model"), seed=0)


@pytest.fixture(scope="module")
def examiner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("examiner")
    small_examiner(made)
    return made


@pytest.fixture
def face(tmp_path: Path) -> tuple[str, str]:
    return known_face(tmp_path)


def known_face(folder: Path) -> tuple[str, str]:
    """Options of `masker traffic`: a face of which a fifth leaks through the sound versions."""
    path = folder / "face.png"
    path.write_bytes(encode(faces(900, 1, 1).images[0], "PNG"))
    return "--image", str(path)


def examined_by(examiner: Path) -> dict[str, Any]:
    """The gateway scores all answers that it can."""
    return {"examiner": str(examiner), "quality_share": 1.0, "quality_rate": 20.0}


def until_examined(url: str) -> None:
    """Wait for the gateway to have its examiner."""
    deadline = time.monotonic() + PATIENCE
    while "masker_gateway_examiner_info{" not in httpx.get(f"{url}/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture
def stage(tmp_path: Path, model_dir: Path, examiner: Path) -> Iterator[Stage]:
    config = GatewayConfig(events_dir=tmp_path / "events", **examined_by(examiner))
    with ExitStack() as stack:
        made = Stage(tmp_path, model_dir, stack, config)
        until_examined(made.base)
        yield made


def shadow() -> Policy:
    section = {"mirror_share": 0.5, "seconds": 6}
    metrics: dict[str, Any] = {"errors": {**ERRORS, "negligible": 0.05, "weight": 1.0}, "leak": LEAK}
    return policy(
        strategy="shadow", shadow=section, interval_seconds=2, lease_seconds=6, metrics=metrics,
        minimum={"requests": 50, "intervals": 3},
    )  # fmt: skip


def events(folder: Path) -> list[dict[str, Any]]:
    since = datetime.now(UTC) - timedelta(hours=1)
    return newest(folder / "events", str(folder / "store"), "requests", since, 100_000)


def test_a_release_that_leaks_twice_as_much_is_rolled_back_by_itself(
    stage: Stage, face: tuple[str, str], tmp_path: Path
) -> None:
    with load(stage.base, 40, *face) as traffic:
        rollout = stage.start(LEAKY, drill(60, {"errors": ERRORS, "leak": LEAK}))
        done = stage.drive(480.0)
    assert done.outcome == "rolled_back", done
    assert "leak" in " ".join(done.reasons)
    assert (traffic.failed, stage.shares()) == (0, {"1": 1.0})
    last = Looks(stage.store, rollout).all()[-1]
    assert last.snapshot.examiner
    (leak,) = [metric for metric in last.verdict.metrics if metric.name == "leak"]
    assert leak.canary is not None
    assert leak.champion is not None
    scored = [event for event in events(tmp_path) if event["leak"] is not None]
    assert {event["version"] for event in scored} == {"1", LEAKY}
    assert {event["face_found"] for event in scored} <= {0, 1}
    print(f"\nleak {leak.champion:.3f} and {leak.canary:.3f}: {done.looks} looks, {len(scored)} scored")


def test_a_healthy_release_is_promoted_with_its_leak_required(stage: Stage, face: tuple[str, str]) -> None:
    with load(stage.base, 40, *face) as traffic:
        stage.start(SOUND, drill(4, {"errors": ERRORS, "leak": LEAK}))
        done = stage.drive(480.0)
    assert done.outcome == "promoted", done
    assert (traffic.failed, stage.shares()) == (0, {SOUND: 1.0})
    print(f"\n{traffic.sent} requests, {done.looks} looks")


@pytest.mark.parametrize(("version", "outcome"), [(SOUND, "passed"), (LEAKY, "rolled_back")])
def test_a_shadow_is_judged_and_no_user_gets_its_answers(
    stage: Stage, face: tuple[str, str], tmp_path: Path, version: str, outcome: str
) -> None:
    with load(stage.base, 40, *face) as traffic:
        stage.start(version, shadow())
        done = stage.drive(480.0)
    assert done.outcome == outcome, done
    assert (traffic.failed, stage.shares()) == (0, {"1": 1.0})
    assert {name for summary in traffic.summaries for name in summary["by_version"]} == {"1.0.1"}
    copies = [event for event in events(tmp_path) if event["via"] == "shadow"]
    assert {(event["version"], event["unit"], event["status"]) for event in copies} == {(version, "", 200)}
    mirrored, deadline = {event["request_id"] for event in copies}, time.monotonic() + PATIENCE
    while not mirrored <= {event["request_id"] for event in events(tmp_path) if event["via"] == "share"}:
        assert time.monotonic() < deadline  # the user's event waits for its score, too
        time.sleep(0.5)
    print(f"\n{len(copies)} copies, {done.looks} looks")
