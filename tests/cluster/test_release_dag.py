"""`promote_canary` and `roll_back` where model servers are pods; registry, fleet, gateway and traffic are real, too."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.cluster.serving_stage import IMAGE, SMALL, Place, place
from tests.cluster.test_releases import FAULTS, MOUNT, RATE, REQUESTS, SERVER
from tests.integration.fleet_processes import free_ports
from tests.integration.strategy_drills import quick
from tests.integration.test_release import load
from tests.integration.test_release_airflow import Installation, airflow, run_dag
from tests.integration.test_serving_deploy import running as process
from tests.unit.serving.support import eventually

from identity_masker.registry import tracking
from identity_masker.settings import PROJECT

SOUND, BROKEN = "2", "3"
STEPS = [{"share": share, "soak_seconds": 4} for share in (0.2, 0.5, 1.0)]
LEASE_SECONDS = 90.0


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("place")) as made:
        wrapper = Path(__file__).with_name("faulty_server.py").read_text(encoding="utf-8")
        made.namespace.text_map(FAULTS, {"faulty_server.py": wrapper})
        yield made


@pytest.fixture(scope="module")
def installation(where: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Version 1 serves from a pod; version 3 fails on 5 % of the pictures."""
    folder, port = tmp_path_factory.mktemp("installation"), free_ports()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MASKER_", "AIRFLOW"))}
    environment = {
        **kept,
        "KUBECONFIG": str(where.kubeconfig),
        "MASKER_TARGET": "kubernetes",
        "MASKER_SERVING_NAMESPACE": where.namespace.name,
        "MASKER_SERVING_IMAGE": IMAGE,
        "MASKER_HOME": str(folder / "home"),
        "MASKER_CONFIG_DIR": str(config(folder / "config")),
        "MASKER_MLFLOW_URI": where.mlflow,
        "MASKER_MASK_KEY": "of-these-tests",
        "MASKER_GATEWAY_PORT": str(port),
        "MASKER_FLEET_PORT": str(port + 7),
        "OMP_NUM_THREADS": "1",
    }
    made = Installation(folder, environment)
    with where.emptied(), process(made, "fleet"), process(made, "gateway"):
        assert made.json("deploy", "--version", "1", "--timeout", "240")["version"] == "1"
        eventually(f"{made.url}/health/ready", seconds=60)
        yield made


def config(folder: Path) -> Path:
    """The shipped configuration, with small pods and a policy that is over in seconds."""
    shutil.copytree(PROJECT / "include" / "config", folder)
    pods = SMALL | {"command": list(SERVER), "mounts": [MOUNT], "requests": REQUESTS}
    (folder / "serving.yaml").write_text(yaml.safe_dump(pods))
    drill = quick(canary={"steps": STEPS}).model_dump(mode="json", exclude_none=True)
    (folder / "release" / "drill.yaml").write_text(yaml.safe_dump({**drill, "lease_seconds": LEASE_SECONDS}))
    return folder


def served(where: Place) -> set[str]:
    """Versions that have a pod which is not on its way out."""
    pods = where.namespace.pods(**{"app.kubernetes.io/name": "identity-masker"})
    return {
        p["metadata"]["labels"]["identity-masker/version"] for p in pods if "deletionTimestamp" not in p["metadata"]
    }


def aliases(where: Place) -> dict[str, str]:
    (model,) = tracking.client_of(where.mlflow).search_registered_models()
    found = {name: str(version) for name, version in model.aliases.items()}
    return {name: found[name] for name in ("champion", "previous") if name in found}


def test_a_sound_version_is_promoted_without_a_failed_request_and_rolled_back_by_the_other_dag(
    installation: Installation, where: Place
) -> None:
    with airflow(installation) as environment, load(installation.url, RATE) as traffic:
        promoted = run_dag(environment, "promote_canary", version=SOUND, policy="drill")
        assert promoted.returncode == 0, promoted.stdout[-6000:]
        status = installation.json("release", "status")
        assert (status["progress"]["outcome"], status["shares"]) == ("promoted", {"1.0.1": 1.0})
        assert aliases(where) == {"champion": SOUND, "previous": "1"}
        assert served(where) == {SOUND}
        back = run_dag(environment, "roll_back")
        assert back.returncode == 0, back.stdout[-6000:]
    assert aliases(where) == {"champion": "1", "previous": SOUND}
    print(f"\n{traffic.sent} requests, {[s['failed'] for s in traffic.summaries]}, {status['progress']['looks']} looks")
    assert traffic.failed == 0


def test_a_version_that_fails_on_five_percent_is_rolled_back_and_not_announced(
    installation: Installation, where: Place
) -> None:
    with airflow(installation) as environment, load(installation.url, RATE) as traffic:
        run = run_dag(environment, "promote_canary", version=BROKEN, policy="drill")
    assert run.returncode == 0, run.stdout[-6000:]  # a version that is taken back is no failure of the DAG
    status = installation.json("release", "status")
    assert status["progress"]["outcome"] == "rolled_back"
    assert "errors" in " ".join(status["progress"]["reasons"])
    assert status["shares"] == {"1.0.0": 1.0}
    assert aliases(where)["champion"] == "1"
    assert served(where) == {"1"}
    assert "was not promoted" in run.stdout
    print(f"\n{traffic.sent} requests, {traffic.failed} failed, {status['progress']['looks']} looks")
