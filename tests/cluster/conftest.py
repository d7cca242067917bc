"""Airflow, MLflow, an S3 store and a database on this machine; the steps as pods of the cluster at KUBECONFIG.

STEP_IMAGE      image of docker/step.Dockerfile, known to the cluster; default localhost/masker-step:ci
HOST_ADDRESS    where pods reach this machine; default 10.200.0.1
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from tests.cluster.airflow import MODELS, POLICIES, SECRET, Airflow, connection, pods_config
from tests.cluster.drill_policies import RELEASES
from tests.cluster.kube import Namespace, gpu_node, namespace
from tests.cluster.processes import BIN, Service, accepts, free_port, running, wait_for
from tests.integration.postgres import postgres

from identity_masker.settings import PROJECT, Settings

IMAGE = os.environ.get("STEP_IMAGE", "localhost/masker-step:ci")
HOST = os.environ.get("HOST_ADDRESS", "10.200.0.1")
ANY = "0.0.0.0"  # noqa: S104 - pods have to reach the services
BUCKET = "masker"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
PARTS = ("fleet", "gateway")
FORWARDED = {"MASKER_STORE_URI", "MASKER_MLFLOW_URI"}
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(1800))


@dataclass(frozen=True)
class World:
    """All that a test needs to know of."""

    airflow: Airflow
    namespace: Namespace
    config_dir: Path
    variables: dict[str, str]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert "KUBECONFIG" in os.environ, "set KUBECONFIG to the cluster to test on"
    return tmp_path_factory.mktemp("cluster", numbered=True)


@pytest.fixture(scope="session")
def variables(home: Path) -> Iterator[dict[str, str]]:
    with services(home) as given:
        yield given


@contextmanager
def services(home: Path) -> Iterator[dict[str, str]]:
    """Services that run inside the block, and what steps and Airflow have to know of them."""
    store, tracking = free_port(), free_port()
    moto = Service("moto", [str(BIN / "moto_server"), "-H", ANY, "-p", str(store)], home / "moto.log", os.environ)
    mlflow = Service("mlflow", mlflow_command(home, tracking), home / "mlflow.log", {**os.environ, **QUIET})
    with postgres(HOST) as database, running(moto, mlflow):
        wait_for("the S3 store", lambda: accepts(HOST, store), within=60)
        wait_for("MLflow", lambda: accepts(HOST, tracking), within=240)
        given = {
            **KEYS,
            "AWS_ENDPOINT_URL": f"http://{HOST}:{store}",
            "MASKER_STORE_URI": f"s3://{BUCKET}/store",
            "MASKER_MLFLOW_URI": f"http://{HOST}:{tracking}",
            "MASKER_CONTROL_DB": database.replace("postgresql://", "postgresql+psycopg://"),
            "MASKER_MASK_KEY": "of-these-tests",
        }
        bucket_in(given["AWS_ENDPOINT_URL"])
        yield given


def mlflow_command(home: Path, port: int) -> list[str]:
    backend = ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--artifacts-destination", str(home / "mlflow")]
    return [str(BIN / "mlflow"), "server", "--host", ANY, "--port", str(port), "--workers", "1", *backend]


def bucket_in(endpoint: str) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=KEYS["AWS_DEFAULT_REGION"],
    )
    client.create_bucket(Bucket=BUCKET)
    client.close()


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
    with airflow_world(home, variables, gateway_port) as made:
        yield made


@contextmanager
def airflow_world(home: Path, variables: dict[str, str], gateway_port: int) -> Iterator[World]:
    """A running Airflow whose heavy steps go to a namespace of the cluster."""
    config_dir = home / "config"
    shutil.copytree(PROJECT / "include" / "config", config_dir)
    pods_config(config_dir, IMAGE)
    config = Settings(
        home=home / "home",
        config_dir=config_dir,
        store_uri=variables["MASKER_STORE_URI"],
        mlflow_uri=variables["MASKER_MLFLOW_URI"],
        control_db=variables["MASKER_CONTROL_DB"],
        airflow_port=free_port(),
        airflow_log_port=free_port(),
    )
    gateway = f"http://{HOST}:{gateway_port}"
    with namespace() as made, gpu_node():
        made.secret(SECRET, {name: value for name, value in variables.items() if name not in FORWARDED})
        made.config_map(MODELS, models())
        made.config_map(POLICIES, RELEASES)
        own = {
            "AIRFLOW_CONN_KUBERNETES_MASKER": connection(made, made.kubeconfig(home), IMAGE),
            "AIRFLOW_CONN_MASKER_GATEWAY": gateway,
            "AIRFLOW_VAR_MASKER_MODEL": "quick",
            "MASKER_GATEWAY_URL": gateway,
        }
        airflow = Airflow(config, {**variables, **own})
        try:
            airflow.start()
            yield World(airflow, made, config_dir, variables)
        finally:
            airflow.stop()


@pytest.fixture(scope="session")
def serving(home: Path, variables: dict[str, str], gateway_port: int) -> Iterator[str]:
    """A fleet and a gateway on this machine; the address of the masking API."""
    settings = {"MASKER_HOME": str(home / "serving"), "MASKER_HOST": HOST, "MASKER_SERVER_PORT": str(free_port())}
    environment = {**os.environ, **QUIET, **variables, **settings, "MASKER_GATEWAY_PORT": str(gateway_port)}
    services = [Service(name, [str(BIN / "masker"), name], home / f"{name}.log", environment) for name in PARTS]
    with running(*services):
        wait_for("the gateway", lambda: accepts(HOST, gateway_port), within=60)
        yield f"http://{HOST}:{gateway_port}"
