"""Trainings in processes of their own: killed in the middle, and several as torchrun starts them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from tests.integration.registry_place import LIBRARIES, Place, registry_place

from identity_masker.registry import tracking

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600), LIBRARIES]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with registry_place(tmp_path_factory.mktemp("registry")) as made:
        yield made


def run_ids(key: str) -> list[str]:
    with tracking.calls() as mlflow:
        known = mlflow.search_runs([tracking.experiment_id()], f"tags.`masker.run_key` = '{key}'")
    return [run.info.run_id for run in known]


def test_a_killed_training_goes_on_where_it_was(place: Place) -> None:
    command = [
        sys.executable, "-m", "identity_masker.cli", "train", "--model", "long", "--dataset", place.dataset,
        "--run-key", "dag/killed", "--json",
    ]  # fmt: skip
    checkpoint = place.folder / "home" / "store" / "checkpoints" / "dag" / "killed" / "checkpoint.pt"
    with subprocess.Popen(command, env=place.environment, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not checkpoint.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    done = subprocess.run(command, env=place.environment, capture_output=True, text=True, timeout=300, check=True)
    result = json.loads(done.stdout)
    assert 0 < result["resumed_from"] < result["steps"] == 120
    assert run_ids("dag/killed") == [result["run_id"]]
    assert not checkpoint.exists()


def test_two_processes_of_torchrun_are_one_training(place: Place) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python",
        "masker", "train", "--model", "quick", "--dataset", place.dataset, "--run-key", "dag/torchrun", "--json",
    ]  # fmt: skip
    environment = {**place.environment, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    (told,) = (json.loads(line) for line in done.stdout.splitlines() if line)
    assert told["steps"] == 8
    assert run_ids("dag/torchrun") == [told["run_id"]]
