"""`promote_canary` and `roll_back` in a real Airflow: their steps are pods, and so are the model servers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.providers.cncf.kubernetes.pod_generator import make_safe_label_value
from tests.cluster.faulty_pods import BROKEN, PODS, faulty_place
from tests.cluster.kube import container, ended
from tests.cluster.processes import BIN, Service, free_port, running
from tests.cluster.serving_stage import IMAGE, SMALL, Place
from tests.cluster.world import HOST, World, installation, services
from tests.integration.strategy_drills import quick
from tests.integration.test_release import load
from tests.integration.test_release_airflow import REPLAY
from tests.unit.serving.support import eventually

from identity_masker.registry import tracking
from identity_masker.settings import PROJECT
from identity_masker.stack.airflow_api import Run

STEPS = [{"share": share, "soak_seconds": 4} for share in (0.2, 0.5, 1.0)]
# Longer than Airflow needs from one task to the next on a busy machine.
LEASE_SECONDS = 90.0
RATE = 15
PATIENCE = 1200.0


@dataclass(frozen=True)
class Installation:
    """Version 1 serves from a pod; `candidates` are those of `paired_candidates` by name."""

    world: World
    place: Place
    environment: dict[str, str]
    url: str
    candidates: dict[str, str]

    def masker(self, *words: str) -> subprocess.CompletedProcess[str]:
        return masker(self.environment, *words)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.masker("release", "status").stdout or "{}")
        return found

    def run(self, dag: str, **conf: str) -> tuple[Run, str]:
        """A run of `dag`, and the state in which it ended."""
        run = self.world.airflow.api.trigger(dag, conf)
        return run, self.world.airflow.finished(run, within=PATIENCE)

    def pods(self, run: Run) -> dict[str, dict[str, Any]]:
        """The pods of the steps of `run`, by task."""
        found = self.world.namespace.pods(dag_id=run.dag_id, run_id=make_safe_label_value(run.run_id))
        return {pod["metadata"]["labels"]["task_id"]: pod for pod in found}

    def exits(self, run: Run) -> dict[str, int]:
        return {task: ended(pod)["exitCode"] for task, pod in self.pods(run).items()}

    def served(self) -> set[str]:
        """Versions that have a pod which is not on its way out."""
        pods = self.place.namespace.pods(**{"app.kubernetes.io/name": "identity-masker"})
        there = [pod["metadata"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return {metadata["labels"]["identity-masker/version"] for metadata in there}

    def aliases(self) -> dict[str, str]:
        (model,) = tracking.client_of(self.place.mlflow).search_registered_models()
        found = {name: str(version) for name, version in model.aliases.items()}
        return {name: found[name] for name in ("champion", "previous") if name in found}


def masker(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "masker"), *words, "--json"]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    home = tmp_path_factory.mktemp("release")
    with ExitStack() as stack:
        place = stack.enter_context(faulty_place(tmp_path_factory.mktemp("place")))
        stack.enter_context(place.emptied())
        variables = stack.enter_context(services(home, place.mlflow))
        environment = stack.enter_context(serving(place, variables, home))
        url = f"http://{HOST}:{environment['MASKER_GATEWAY_PORT']}"
        deployed = masker(environment, "deploy", "--version", "1", "--timeout", "500")
        assert deployed.returncode == 0, deployed.stderr
        eventually(f"{url}/health/ready", seconds=60)
        made = candidates(environment, home / "candidates")
        own = {"AIRFLOW_CONN_MASKER_GATEWAY": url, "MASKER_GATEWAY_URL": url}
        world = stack.enter_context(installation(home, variables, own, {"release": policies()}))
        yield Installation(world, place, environment, url, made)


@contextmanager
def serving(place: Place, variables: dict[str, str], home: Path) -> Iterator[dict[str, str]]:
    """A fleet of pods and a gateway, both on this machine; their environment."""
    config = home / "serving-config"
    shutil.copytree(PROJECT / "include" / "config", config)
    (config / "serving.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(SMALL | PODS))))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MASKER_", "AIRFLOW"))}
    environment = {
        **kept,
        **variables,
        "KUBECONFIG": str(place.kubeconfig),
        "MASKER_TARGET": "kubernetes",
        "MASKER_SERVING_NAMESPACE": place.namespace.name,
        "MASKER_SERVING_IMAGE": IMAGE,
        "MASKER_HOME": str(home / "serving"),
        "MASKER_CONFIG_DIR": str(config),
        "MASKER_EXAMINER": "",
        "MASKER_HOST": HOST,
        "MASKER_GATEWAY_PORT": str(free_port()),
        "MASKER_FLEET_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
    }
    parts = ("fleet", "gateway")
    with running(*(Service(name, [str(BIN / "masker"), name], home / f"{name}.log", environment) for name in parts)):
        yield environment


def candidates(environment: dict[str, str], folder: Path) -> dict[str, str]:
    command = [sys.executable, "-m", "tests.cluster.paired_candidates", str(folder)]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=900
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def policies() -> dict[str, Any]:
    """Over in seconds; `paired` compares on the same pictures first."""
    drill = {
        **quick(canary={"steps": STEPS}).model_dump(mode="json", exclude_none=True),
        "lease_seconds": LEASE_SECONDS,
    }
    return {"drill.yaml": drill, "paired.yaml": {**drill, "replay": REPLAY}}


def test_a_sound_version_is_promoted_by_pods_without_a_failed_request_and_rolled_back_by_the_other_dag(
    installed: Installation,
) -> None:
    sound = installed.candidates["sound"]
    with load(installed.url, RATE) as traffic:
        promoted, state = installed.run("promote_canary", version=sound, policy="paired")
        assert state == "success", installed.world.airflow.failures(promoted)
        status = installed.status()
        assert status["progress"]["outcome"] == "promoted"
        assert installed.aliases() == {"champion": sound, "previous": "1"}
        assert installed.served() == {sound}
        back, state = installed.run("roll_back")
        assert state == "success", installed.world.airflow.failures(back)
    assert installed.aliases() == {"champion": "1", "previous": sound}
    print(f"\n{traffic.sent} requests, {[s['failed'] for s in traffic.summaries]}, {status['progress']['looks']} looks")
    assert traffic.failed == 0
    assert installed.exits(promoted) == {"preflight": 0, "shadow_replay": 0, "start": 0}
    assert installed.exits(back) == {"rollback": 0}
    replayed = installed.world.airflow.api.xcom(promoted, "shadow_replay")
    assert (replayed["allowed"], replayed["pictures"] > 0) == (True, True)
    gpus = {
        task: container(pod)["resources"]["limits"].get("nvidia.com/gpu")
        for task, pod in installed.pods(promoted).items()
    }
    assert gpus == {"preflight": None, "shadow_replay": "1", "start": None}


def test_a_version_that_fails_on_five_percent_is_rolled_back_and_not_announced(installed: Installation) -> None:
    with load(installed.url, RATE) as traffic:
        run, state = installed.run("promote_canary", version=BROKEN, policy="drill")
    assert state == "success", installed.world.airflow.failures(run)  # being taken back is no failure of the DAG
    status = installed.status()
    assert status["progress"]["outcome"] == "rolled_back"
    assert "errors" in " ".join(status["progress"]["reasons"])
    assert installed.aliases()["champion"] == "1"
    assert installed.served() == {"1"}
    assert "was not promoted" in installed.world.airflow.log(run, "smoke")
    assert installed.world.airflow.task_states(run)["publish"] == "skipped"
    failed = [summary["failed"] for summary in traffic.summaries if summary["failed"]]
    print(f"\n{traffic.sent} requests, failed {failed}, {status['progress']['looks']} looks")


def test_a_version_that_is_worse_on_the_same_pictures_is_refused_by_a_pod_and_meets_no_user(
    installed: Installation,
) -> None:
    before = installed.status()
    with load(installed.url, RATE) as traffic:
        run, state = installed.run("promote_canary", version=installed.candidates["astray"], policy="paired")
    assert state == "failed"
    told = installed.world.airflow.log(run, "admit")
    assert "is not released: the candidate is worse on the same pictures" in told
    assert installed.exits(run) == {"preflight": 0, "shadow_replay": 0}
    assert installed.status().get("progress") == before.get("progress")
    assert installed.served() == {"1"}
    assert len({name for summary in traffic.summaries for name in summary["by_version"]}) == 1
    assert traffic.failed == 0
    print(f"\n{traffic.sent} requests meanwhile, {traffic.failed} failed")
