"""Airflow, MLflow, an S3 store and a database on this machine; the steps as pods of the cluster at KUBECONFIG."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.processes import BIN, Service, accepts, free_port, running, wait_for
from tests.cluster.world import HOST, QUIET, World, installation, services

from identity_masker.settings import PROJECT

PARTS = ("fleet", "gateway")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert "KUBECONFIG" in os.environ, "set KUBECONFIG to the cluster to test on"
    return tmp_path_factory.mktemp("cluster", numbered=True)


@pytest.fixture(scope="session")
def variables(home: Path) -> Iterator[dict[str, str]]:
    """What steps and Airflow have to know of the services, which run as long as the tests do."""
    with services(home) as given:
        yield given


def models() -> dict[str, Any]:
    """Model configurations by file name, mounted over the image's own: one quick, two slow enough to be killed.

    Two, because a model that is registered already is not trained again.
    """
    tiny = yaml.safe_load((PROJECT / "include" / "config" / "models" / "masker-tiny.yaml").read_text())
    longer = {**tiny["training"], "steps": 1500, "checkpoint_steps": 50, "rendered_share": 0.0}
    slow = {name: {**tiny, "training": {**longer, "seed": seed}} for name, seed in (("slow", 7), ("slow-too", 8))}
    return {"quick.yaml": tiny, **{f"{name}.yaml": model for name, model in slow.items()}}


@pytest.fixture(scope="session")
def gateway_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def world(home: Path, variables: dict[str, str], gateway_port: int) -> Iterator[World]:
    own = {
        "AIRFLOW_CONN_MASKER_GATEWAY": f"http://{HOST}:{gateway_port}",
        "AIRFLOW_VAR_MASKER_MODEL": "quick",
    }
    with installation(home, variables, own, {"models": models()}) as made:
        yield made


@pytest.fixture(scope="session")
def serving(home: Path, variables: dict[str, str], gateway_port: int) -> Iterator[str]:
    """A fleet and a gateway on this machine; the address of the masking API."""
    settings = {"MASKER_HOME": str(home / "serving"), "MASKER_HOST": HOST, "MASKER_SERVER_PORT": str(free_port())}
    environment = {**os.environ, **QUIET, **variables, **settings, "MASKER_GATEWAY_PORT": str(gateway_port)}
    services = [Service(name, [str(BIN / "masker"), name], home / f"{name}.log", environment) for name in PARTS]
    with running(*services):
        wait_for("the gateway", lambda: accepts(HOST, gateway_port), within=60)
        yield f"http://{HOST}:{gateway_port}"
