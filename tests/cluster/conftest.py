"""Airflow, MLflow, an S3 store and a database on this machine; the steps as pods of the cluster at KUBECONFIG.

STEP_IMAGE      image of docker/step.Dockerfile, known to the cluster; default localhost/masker-step:ci
HOST_ADDRESS    where pods reach this machine; default 10.200.0.1
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from tests.cluster import processes
from tests.cluster.airflow import Airflow, connection, pods_config
from tests.cluster.kube import Namespace, gpu_node, namespace
from tests.cluster.processes import BIN, Service, accepts, free_port, wait_for

from identity_masker.settings import PROJECT, Settings

IMAGE = os.environ.get("STEP_IMAGE", "localhost/masker-step:ci")
HOST = os.environ.get("HOST_ADDRESS", "10.200.0.1")
ANY = "0.0.0.0"  # noqa: S104 - pods have to reach the services
BUCKET = "masker"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(900))


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
    """What steps and Airflow have to know of the services, which run as long as the tests do."""
    store, tracking = free_port(), free_port()
    moto = Service("moto", [str(BIN / "moto_server"), "-H", ANY, "-p", str(store)], home / "moto.log", os.environ)
    mlflow = Service("mlflow", mlflow_command(home, tracking), home / "mlflow.log", {**os.environ, **quiet()})
    running = [moto, mlflow]
    for service in running:
        service.start()
    try:
        wait_for("the S3 store", lambda: accepts(HOST, store), within=60)
        wait_for("MLflow", lambda: accepts(HOST, tracking), within=120)
        given = {
            **KEYS,
            "AWS_ENDPOINT_URL": f"http://{HOST}:{store}",
            "MASKER_STORE_URI": f"s3://{BUCKET}/store",
            "MASKER_MLFLOW_URI": f"http://{HOST}:{tracking}",
        }
        boto3.client("s3", endpoint_url=given["AWS_ENDPOINT_URL"], **boto_keys()).create_bucket(Bucket=BUCKET)
        yield given
    finally:
        processes.stop(*running)


def mlflow_command(home: Path, port: int) -> list[str]:
    backend = ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--artifacts-destination", str(home / "mlflow")]
    return [str(BIN / "mlflow"), "server", "--host", ANY, "--port", str(port), "--workers", "1", *backend]


def quiet() -> dict[str, str]:
    return {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def boto_keys() -> dict[str, str]:
    return {
        "aws_access_key_id": KEYS["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": KEYS["AWS_SECRET_ACCESS_KEY"],
        "region_name": KEYS["AWS_DEFAULT_REGION"],
    }


@pytest.fixture(scope="session")
def world(home: Path, variables: dict[str, str]) -> Iterator[World]:
    """A running Airflow whose heavy steps go to a namespace of the cluster."""
    config_dir = home / "config"
    shutil.copytree(PROJECT / "include" / "config", config_dir)
    pods_config(config_dir, IMAGE)
    config = Settings(
        home=home / "home",
        config_dir=config_dir,
        store_uri=variables["MASKER_STORE_URI"],
        mlflow_uri=variables["MASKER_MLFLOW_URI"],
        airflow_port=free_port(),
        airflow_log_port=free_port(),
    )
    with namespace() as made, gpu_node():
        made.secret("masker-store", {name: value for name, value in variables.items() if name.startswith("AWS_")})
        kubernetes = {"AIRFLOW_CONN_KUBERNETES_MASKER": connection(made, made.kubeconfig(home))}
        airflow = Airflow(config, {**variables, **kubernetes, "AIRFLOW_VAR_MASKER_MODEL": "masker-tiny"})
        try:
            airflow.start()
            yield World(airflow, made, config_dir, variables)
        finally:
            airflow.stop()
