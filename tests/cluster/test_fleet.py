"""The fleet of pods: what it makes of a version, what it undoes, and what it leaves alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from tests.cluster.cut_line import Line
from tests.cluster.processes import Service, free_port, running, wait_for
from tests.cluster.serving_stage import IMAGE, SMALL, Place, fleet_thread, place

from identity_masker.errors import BadInputError
from identity_masker.serving.board import STALE_SECONDS
from identity_masker.serving.cluster.api import Cluster
from identity_masker.serving.cluster.objects import RESYNC_SECONDS
from identity_masker.serving.control import Control, Deployment, Endpoint

KINDS = "deployments,services,poddisruptionbudgets,horizontalpodautoscalers"
SCALING = {"max_factor": 3}
NAME = "masker-v1"
PATIENCE = 400.0


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("place")) as made:
        yield made


class Desk:
    """A control database, and looks at it and at the cluster."""

    def __init__(self, where: Place, folder: Path) -> None:
        self.place, self.url = where, f"sqlite:///{folder}/control.db"
        self.control = Control(self.url)

    def want(self, replicas: int, version: str = "1") -> None:
        wanted = Deployment(version=version, semver=f"1.0.{version}", replicas=replicas)
        self.control.deploy(wanted, author="test", reason="test")

    def get(self, kind: str, name: str = NAME) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.place.namespace.kubectl("get", kind, name, "-o", "json"))
        return found

    def names(self) -> list[str]:
        found = self.place.namespace.kubectl(
            "get", KINDS, "-l", "app.kubernetes.io/managed-by=masker-fleet", "-o", "name"
        )
        return sorted(line.split(".")[0].split("/")[0] for line in found.splitlines())

    def until(self, true: Callable[[list[Endpoint]], bool]) -> list[Endpoint]:
        wait_for("what is wanted of the endpoints", lambda: true(self.control.endpoints()), within=PATIENCE)
        return self.control.endpoints()

    def ready(self, count: int) -> list[Endpoint]:
        return self.until(lambda found: [e.state for e in found] == ["ready"] * count)


@pytest.fixture
def desk(where: Place, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(where, tmp_path)
    with where.emptied():
        yield made
    made.control.close()


def test_a_version_is_four_objects_that_know_their_owner_and_go_together(desk: Desk) -> None:
    with fleet_thread(desk.place, desk.url, desk.place.blueprint(autoscaling=SCALING)):
        desk.want(1)
        desk.ready(1)
        assert desk.names() == ["deployment", "horizontalpodautoscaler", "poddisruptionbudget", "service"]
        uid = desk.get("deployment")["metadata"]["uid"]
        for kind in ("service", "poddisruptionbudget", "horizontalpodautoscaler"):
            metadata = desk.get(kind)["metadata"]
            assert [owner["uid"] for owner in metadata["ownerReferences"]] == [uid]
            assert metadata["labels"]["identity-masker/version"] == "1"
            assert metadata["labels"]["app.kubernetes.io/version"] == "1.0.1"
        desk.want(0)
        desk.until(lambda found: found == [])
        wait_for("the garbage collection", lambda: desk.names() == [], within=120)


def test_what_somebody_took_away_or_changed_comes_back(desk: Desk) -> None:
    with fleet_thread(desk.place, desk.url, desk.place.blueprint()):
        desk.want(1)
        desk.ready(1)
        selector = desk.get("service")["spec"]["selector"]
        desk.place.namespace.kubectl("delete", "poddisruptionbudget", NAME)
        wrong = '{"spec": {"selector": {"identity-masker/version": "9"}}}'
        desk.place.namespace.kubectl("patch", "service", NAME, "-p", wrong)

        def mended() -> bool:
            return "poddisruptionbudget" in desk.names() and desk.get("service")["spec"]["selector"] == selector

        wait_for("the next round", mended, within=3 * RESYNC_SECONDS)


def test_more_pods_of_the_autoscaler_stay_and_fewer_than_wanted_do_not(desk: Desk) -> None:
    def replicas() -> int:
        return int(desk.get("deployment")["spec"]["replicas"])

    with fleet_thread(desk.place, desk.url, desk.place.blueprint(autoscaling=SCALING)):
        desk.want(1)
        desk.ready(1)
        desk.place.namespace.kubectl("scale", "deployment", NAME, "--replicas=2")
        desk.ready(2)
        assert replicas() == 2
        desk.place.namespace.kubectl("scale", "deployment", NAME, "--replicas=0")
        wait_for("the fleet's word", lambda: replicas() == 1, within=60)
        desk.want(2)
        wait_for("the release's word", lambda: replicas() == 2, within=60)
        assert desk.get("horizontalpodautoscaler")["spec"]["maxReplicas"] == 6


def test_a_fleet_that_was_started_earlier_does_not_undo_a_later_one(desk: Desk) -> None:
    earlier, later = desk.place.blueprint(), desk.place.blueprint(threads=2)
    desk.want(1)
    with fleet_thread(desk.place, desk.url, earlier):
        desk.ready(1)
        with fleet_thread(desk.place, desk.url, later):
            wait_for("the later blueprint", lambda: "--threads 2" in words(desk), within=60)
            generation = desk.get("deployment")["metadata"]["generation"]
            desk.until(lambda found: len(found) == 1 and found[0].state == "ready" and "--threads 2" in words(desk))
            assert desk.get("deployment")["metadata"]["generation"] == generation


def words(desk: Desk) -> str:
    (container,) = desk.get("deployment")["spec"]["template"]["spec"]["containers"]
    return " ".join(container["args"])


def test_what_the_database_never_heard_of_is_left_alone(desk: Desk, tmp_path: Path) -> None:
    desk.want(1)
    with fleet_thread(desk.place, desk.url, desk.place.blueprint()):
        desk.ready(1)
    (tmp_path / "new").mkdir()
    restored = Desk(desk.place, tmp_path / "new")  # an empty database, as after a mistake in its address
    with fleet_thread(desk.place, restored.url, desk.place.blueprint()):
        restored.ready(1)
        assert desk.names() == ["deployment", "poddisruptionbudget", "service"]
    restored.control.close()


def test_why_there_are_no_pods_is_told(desk: Desk) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    desk.place.namespace.kubectl("apply", "-f", "-", document=quota)
    try:
        with fleet_thread(desk.place, desk.url, desk.place.blueprint()):
            desk.want(1)
            (found,) = desk.until(lambda found: [e.state for e in found] == ["failed"])
            assert "exceeded quota" in found.detail
    finally:
        desk.place.namespace.kubectl("delete", "resourcequota", "none")


def test_servers_stay_known_while_the_api_server_is_away_and_those_that_die_do_not(desk: Desk, tmp_path: Path) -> None:
    admin = yaml.safe_load(desk.place.kubeconfig.read_text())
    address = urlsplit(admin["clusters"][0]["cluster"]["server"])
    line = Line((str(address.hostname), int(address.port or 443)))
    admin["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{line.port}"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(admin))
    through = Place(desk.place.namespace, path, desk.place.mlflow)
    try:
        with fleet_thread(through, desk.url, through.blueprint()):
            desk.want(1)
            (before,) = desk.ready(1)
            line.cut()
            time.sleep(STALE_SECONDS + 1)
            (after,) = desk.control.endpoints()
            assert (after.state, after.pid) == ("ready", before.pid)
            assert after.heartbeat > time.time() - STALE_SECONDS / 2
            desk.place.namespace.kubectl("delete", "pod", before.slot, "--grace-period=0", "--force")
            desk.until(lambda found: [e.state for e in found] != ["ready"])
            line.mend()
            desk.until(lambda found: len(found) == 1 and found[0].state == "ready" and found[0].slot != before.slot)
    finally:
        line.close()


def test_without_rights_the_fleet_says_what_it_lacks(where: Place) -> None:
    cluster = where.cluster()
    try:
        with pytest.raises(BadInputError, match=r"403 .*serving-rbac\.yaml"):
            cluster.find("Service", "v1", {"a": "b"})
    finally:
        cluster.close()


def test_without_a_cluster_the_fleet_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="there is no cluster to talk to"):
        Cluster("masker", str(tmp_path / "none"))


def test_the_commands_deploy_to_the_cluster_and_pods_outlive_their_fleet(desk: Desk, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "serving.yaml").write_text(yaml.safe_dump(SMALL | {"image": "an-image-of-the-settings"}))
    metrics = free_port()
    environment = {
        **os.environ,
        "KUBECONFIG": str(desk.place.kubeconfig),
        "MASKER_TARGET": "kubernetes",
        "MASKER_FLEET_PORT": str(metrics),
        "MASKER_HOME": str(tmp_path / "home"),
        "MASKER_CONFIG_DIR": str(config),
        "MASKER_CONTROL_DB": desk.url,
        "MASKER_MLFLOW_URI": desk.place.mlflow,
        "MASKER_SERVING_IMAGE": IMAGE,
        "MASKER_SERVING_NAMESPACE": desk.place.namespace.name,
    }
    command = [sys.executable, "-m", "identity_masker.cli"]
    fleet = Service("fleet", [*command, "fleet"], tmp_path / "fleet.log", environment)
    with running(fleet):
        deploy = [*command, "deploy", "--version", "2", "--timeout", str(PATIENCE), "--json"]
        done = subprocess.run(deploy, env=environment, capture_output=True, text=True, check=True)
        (url,) = json.loads(done.stdout)["endpoints"]
        (endpoint,) = desk.control.endpoints()
        assert (endpoint.url, endpoint.version, endpoint.state) == (url, "2", "ready")
        (wanted,) = desk.control.deployments()
        shown = httpx.get(f"http://127.0.0.1:{metrics}/metrics", timeout=30).text.splitlines()
        assert {
            f'masker_fleet_servers_wanted{{semver="{wanted.semver}",version="2"}} 1.0',
            'masker_fleet_servers{state="ready",version="2"} 1.0',
            'masker_fleet_restarts_total{version="2"} 0.0',
            'masker_fleet_server_start_seconds_count{version="2"} 1.0',
            "masker_fleet_control_database_up 1.0",
        } <= set(shown), shown
        fleet.check()
    assert httpx.get(f"{url}/health/ready", timeout=10).is_success
