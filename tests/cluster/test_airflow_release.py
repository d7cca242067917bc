"""Releases as people run them on a cluster: Airflow's DAGs, steps as pods, model servers as pods, traffic."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.cluster.airflow import COMPONENTS
from tests.cluster.conftest import QUIET, World, airflow_world, services
from tests.cluster.drill_policies import SHORT_LEASE_SECONDS
from tests.cluster.kube import ended
from tests.cluster.processes import BIN, Service, accepts, free_port, running, wait_for
from tests.cluster.serving_stage import HOST, IMAGE, RBAC, SECRET, SMALL
from tests.cluster.test_releases import FAULTS, MOUNT, SERVER
from tests.integration.test_release import load
from tests.integration.test_serving import FACE, PNG

from identity_masker.registry import tracking
from identity_masker.serving.control import Control
from identity_masker.settings import PROJECT
from identity_masker.stack.airflow_api import Run

SOUND, BROKEN = "2", "3"
PODS = ("preflight", "shadow_replay", "start")
PATIENCE = 900.0
LEASE_PATIENCE_SECONDS = 5.0


class Installation:
    """Version 1 serves, from a pod; versions 2 and 3, which fails on 5 % of the pictures, are registered."""

    def __init__(self, world: World, url: str, control: Control) -> None:
        self.airflow, self.namespace, self.url, self.control = world.airflow, world.namespace, url, control
        self._mlflow = tracking.client_of(world.variables["MASKER_MLFLOW_URI"])

    def run(self, dag: str, **conf: Any) -> Run:
        """A run that has ended well."""
        run = self.airflow.api.trigger(dag, conf)
        state = self.airflow.finished(run, within=PATIENCE)
        assert state == "success", self.airflow.failures(run)
        return run

    def aliases(self) -> dict[str, str]:
        (model,) = self._mlflow.search_registered_models()
        return {name: str(version) for name, version in model.aliases.items()}

    def shares(self) -> dict[str, float]:
        revision = self.control.revision()
        assert revision is not None
        return {variant.version: variant.share for variant in revision.table.variants.values()}

    def served(self) -> set[str]:
        """Versions that have pods."""
        label = "identity-masker/version"
        return {
            pod["metadata"]["labels"][label]
            for pod in self.namespace.pods(**{"app.kubernetes.io/name": "identity-masker"})
        }


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    home, port = tmp_path_factory.mktemp("release"), free_port()
    url = f"http://{HOST}:{port}"
    with services(home) as variables, airflow_world(home, variables, port) as world:
        environment = serving_environment(home, world, port)
        fill = [sys.executable, "-m", "tests.cluster.served_models", str(home / "made"), "1", SOUND, BROKEN]
        own = {**environment, "MASKER_HOME": str(home / "registering")}
        subprocess.run(fill, env=own, cwd=PROJECT, check=True, capture_output=True)
        parts = [Service(n, [str(BIN / "masker"), n], home / f"{n}.log", environment) for n in ("fleet", "gateway")]
        with running(*parts), Control(variables["MASKER_CONTROL_DB"]) as control:
            wait_for("the gateway", lambda: accepts(HOST, port), within=60)
            deploy = [str(BIN / "masker"), "deploy", "--version", "1", "--timeout", "400", "--json"]
            subprocess.run(deploy, env=environment, check=True, capture_output=True)
            wait_for("the DAG", lambda: world.airflow.api.has_dag("promote_canary"), within=180)
            yield Installation(world, url, control)


def serving_environment(home: Path, world: World, port: int) -> dict[str, str]:
    """Of a fleet of pods and a gateway: model servers with the faults of `faulty_server`."""
    wrapper = Path(__file__).with_name("faulty_server.py").read_text(encoding="utf-8")
    world.namespace.text_map(FAULTS, {"faulty_server.py": wrapper})
    world.namespace.secret(SECRET, {"MASKER_MASK_KEY": world.variables["MASKER_MASK_KEY"]})
    config, rights = home / "serving-config", home / "rights"
    for folder in (config, rights):
        folder.mkdir()
    (config / "serving.yaml").write_text(yaml.safe_dump(SMALL | {"command": list(SERVER), "mounts": [MOUNT]}))
    return {
        **os.environ,
        **QUIET,
        **world.variables,
        "KUBECONFIG": str(world.namespace.kubeconfig(rights, RBAC, "masker-fleet")),
        "MASKER_TARGET": "kubernetes",
        "MASKER_SERVING_NAMESPACE": world.namespace.name,
        "MASKER_SERVING_IMAGE": IMAGE,
        "MASKER_CONFIG_DIR": str(config),
        "MASKER_HOME": str(home / "serving"),
        "MASKER_HOST": HOST,
        "MASKER_GATEWAY_PORT": str(port),
        "MASKER_FLEET_PORT": str(free_port()),
    }


def test_a_sound_version_is_promoted_without_a_failed_request(installation: Installation) -> None:
    with load(installation.url, 20) as traffic:
        run = installation.run("promote_canary", version=SOUND, policy="drill")
    done = installation.airflow.api.xcom(run, "finish")
    assert done["outcome"] == "promoted"
    assert installation.shares() == {SOUND: 1.0}
    assert installation.aliases().items() >= {"champion": SOUND, "previous": "1"}.items()
    assert traffic.failed == 0
    pods = {pod["metadata"]["labels"]["task_id"]: pod for pod in installation.namespace.pods(dag_id="promote_canary")}
    assert {name: ended(pods[name])["exitCode"] for name in PODS} == dict.fromkeys(PODS, 0)
    wait_for("the end of the old servers", lambda: installation.served() == {SOUND}, within=120)
    assert installation.airflow.task_states(run)["publish"] == "success"
    print(f"\n{traffic.sent} requests, {traffic.failed} failed, {done['looks']} looks")


def test_one_that_fails_on_five_percent_is_rolled_back_and_nothing_is_announced(installation: Installation) -> None:
    champion = installation.aliases()["champion"]
    with load(installation.url, 30) as traffic:
        run = installation.run("promote_canary", version=BROKEN, policy="drill")
    done = installation.airflow.api.xcom(run, "finish")
    assert done["outcome"] == "rolled_back"
    assert "errors" in " ".join(done["reasons"])
    assert installation.shares() == {champion: 1.0}
    assert installation.aliases()["champion"] == champion
    states = installation.airflow.task_states(run)
    assert (states["smoke"], states["publish"]) == ("skipped", "skipped")
    print(f"\n{traffic.sent} requests, {traffic.failed} failed, {done['looks']} looks")


def test_when_airflow_is_killed_for_good_the_lease_ends_the_canary_and_a_new_airflow_goes_on(
    installation: Installation,
) -> None:
    champion, candidate = installation.aliases()["champion"], "1"
    run = installation.airflow.api.trigger("promote_canary", {"version": candidate, "policy": "long"})
    with httpx.Client(base_url=installation.url, timeout=30) as http:
        asked = iter(range(1_000_000))
        wait_for("the canary", lambda: answering(http, next(asked)) == f"1.0.{int(candidate) - 1}", within=PATIENCE)
        for component in COMPONENTS:
            installation.airflow.kill(component)
        killed = last = time.monotonic()
        while time.monotonic() < killed + SHORT_LEASE_SECONDS + LEASE_PATIENCE_SECONDS + 5:
            if answering(http, next(asked)) != f"1.0.{int(champion) - 1}":
                last = time.monotonic()
    assert last - killed < SHORT_LEASE_SECONDS + LEASE_PATIENCE_SECONDS
    print(f"\nthe last answer of the canary came {last - killed:.1f} s after the end of Airflow")
    for component in COMPONENTS:
        installation.airflow.restart(component)
    wait_for("Airflow", lambda: bool(installation.airflow.api.healthy()), within=300)
    wait_for("the canary again", lambda: installation.shares().get(candidate) == 0.5, within=PATIENCE)
    began = time.monotonic()
    installation.run("roll_back")
    print(f"rolled back by the DAG in {time.monotonic() - began:.0f} s")
    assert installation.airflow.finished(run, within=PATIENCE) == "success"
    assert installation.airflow.api.xcom(run, "finish")["outcome"] == "rolled_back"
    assert installation.shares() == {champion: 1.0}


def answering(http: httpx.Client, user: int) -> str:
    """The version that this user meets."""
    answer = http.post("/v1/mask", content=FACE, headers={**PNG, "x-user-id": f"user-{user}"})
    assert answer.status_code == httpx.codes.OK, answer.text
    return str(answer.headers["x-model-version"])


def test_the_version_before_is_back_in_seconds(installation: Installation) -> None:
    before = installation.aliases()
    began = time.monotonic()
    run = installation.run("roll_back")
    assert installation.shares() == {before["previous"]: 1.0}
    assert installation.aliases()["champion"] == before["previous"]
    seconds = next(task.seconds for task in installation.airflow.api.tasks(run) if task.name == "rollback")
    print(f"\nrolled back by the DAG in {time.monotonic() - began:.0f} s, of which the step took {seconds:.0f} s")
