"""An experiment in front of users, as processes: registry, `masker fleet`, `masker gateway`, `masker experiments`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import yaml
from tests.integration.test_serving import FACE, PNG, PROJECT, Place
from tests.integration.test_serving_deploy import REGISTER, place, running
from tests.unit.serving.support import eventually

from identity_masker.experiments.assignment import assign
from identity_masker.experiments.catalog import load_file
from identity_masker.serving.units import unit
from identity_masker.telemetry.events.reading import newest

__all__ = ["place"]
pytestmark = pytest.mark.drill
USERS = [f"user-{k}" for k in range(30)]
UNIT_KEY = "of the test"
SEMVERS = {"control": "1.0.0", "warm": "1.0.1"}
DESIGN = {
    "name": "tint",
    "hypothesis": "People mask more with the warmer tint.",
    "status": "running",
    "variants": {"control": {"model": "champion", "weight": 0.5}, "warm": {"model": "challenger", "weight": 0.5}},
    "schedule": {"days": 5},
    "metrics": [{"name": "masks", "kind": "count", "role": "goal"}],
}


@pytest.fixture
def design(place: Place) -> Path:
    """The file of the only experiment."""
    config = place.folder / "config"
    shutil.copytree(PROJECT / "include" / "config", config)
    for path in (config / "experiments").glob("*.yaml"):
        path.unlink()
    path = config / "experiments" / "tint.yaml"
    path.write_text(yaml.safe_dump(DESIGN))
    place.environment.update(MASKER_CONFIG_DIR=str(config), MASKER_UNIT_KEY=UNIT_KEY)
    return path


def command(place: Place, *words: str) -> dict[str, object]:
    done = place.masker(*words, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def answers(url: str) -> dict[str, tuple[str, str]]:
    """Variant and version that each user meets."""
    with httpx.Client(base_url=url, timeout=30) as http:
        found = {user: http.post("/v1/mask", content=FACE, headers={**PNG, "x-user-id": user}) for user in USERS}
    assert {answer.status_code for answer in found.values()} == {200}
    return {user: (each.headers["x-variant"], each.headers["x-model-version"]) for user, each in found.items()}


def soon(url: str, true: Callable[[dict[str, tuple[str, str]]], bool]) -> dict[str, tuple[str, str]]:
    deadline = time.monotonic() + 60
    while not true(found := answers(url)):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


def test_users_meet_the_variants_that_assign_gives_until_the_experiment_is_stopped(place: Place, design: Path) -> None:
    registering = [sys.executable, "-m", REGISTER, str(place.folder), "2"]
    subprocess.run(registering, cwd=PROJECT, env=place.environment, check=True, timeout=200)
    url = f"http://127.0.0.1:{place.environment['MASKER_GATEWAY_PORT']}"
    began = datetime.now(UTC)
    with running(place, "fleet"), running(place, "gateway"):
        command(place, "deploy", "--version", "1")
        eventually(f"{url}/health/ready", seconds=30)
        held = command(place, "experiments", "serve")["held"]
        assert held == [
            {"experiment": "tint", "variant": "warm", "model": "challenger", "version": "2", "semver": "1.0.1"}
        ]

        met = soon(url, lambda found: all(variant.startswith("tint:") for variant, _ in found.values()))
        rule = load_file(design).rule
        expected = {user: assign(rule, {"user": unit(UNIT_KEY, user)}).name for user in USERS}
        assert met == {user: (f"tint:{name}", SEMVERS[name]) for user, name in expected.items()}
        assert min(Counter(expected.values()).values()) > 5

        command(place, "experiments", "weights", "tint", "--stop", "--reason", "seen enough")
        assert command(place, "experiments", "serve") == {"held": [], "let_go": ["1.0.1"]}
        assert set(answers(url).values()) == {("champion", "1.0.0")}
    home = Path(place.environment["MASKER_HOME"])
    exposures = newest(home / "events", f"file://{home}/store", "exposures", began, 1000)
    assert {each["unit"]: each["variant"] for each in exposures} == {
        unit(UNIT_KEY, user): name for user, name in expected.items()
    }
    assert len(exposures) == len(USERS)
