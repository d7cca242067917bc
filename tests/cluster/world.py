"""An Airflow whose heavy steps are pods of the cluster at KUBECONFIG, and the services that both need.

STEP_IMAGE      image of docker/step.Dockerfile, known to the cluster; default localhost/masker-step:ci
HOST_ADDRESS    where pods reach this machine; default 10.200.0.1
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from tests.cluster.airflow import SECRET, Airflow, connection, pods_config
from tests.cluster.kube import Namespace, gpu_node, namespace
from tests.cluster.processes import BIN, Service, accepts, free_port, running, wait_for
from tests.integration.postgres import postgres

from identity_masker.settings import PROJECT, Settings

IMAGE = os.environ.get("STEP_IMAGE", "localhost/masker-step:ci")
HOST = os.environ.get("HOST_ADDRESS", "10.200.0.1")
ANY = "0.0.0.0"  # noqa: S104 - pods have to reach the services
BUCKET = "masker"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
FORWARDED = {"MASKER_STORE_URI", "MASKER_MLFLOW_URI"}
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class World:
    """All that a test needs to know of."""

    airflow: Airflow
    namespace: Namespace
    config_dir: Path
    variables: dict[str, str]


@contextmanager
def services(home: Path, mlflow: str = "") -> Iterator[dict[str, str]]:
    """A store, a database and, unless `mlflow` is the address of one, an MLflow; what steps have to know of them."""
    with ExitStack() as stack:
        store = free_port()
        moto = [str(BIN / "moto_server"), "-H", ANY, "-p", str(store)]
        stack.enter_context(running(Service("moto", moto, home / "moto.log", os.environ)))
        database = stack.enter_context(postgres(HOST))
        address = mlflow or stack.enter_context(_mlflow(home))
        wait_for("the S3 store", lambda: accepts(HOST, store), within=60)
        given = {
            **KEYS,
            "AWS_ENDPOINT_URL": f"http://{HOST}:{store}",
            "MASKER_STORE_URI": f"s3://{BUCKET}/store",
            "MASKER_MLFLOW_URI": address,
            "MASKER_CONTROL_DB": database.replace("postgresql://", "postgresql+psycopg://"),
            "MASKER_MASK_KEY": "of-these-tests",
        }
        _make_bucket(given["AWS_ENDPOINT_URL"])
        yield given


@contextmanager
def _mlflow(home: Path) -> Iterator[str]:
    port = free_port()
    backend = ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--artifacts-destination", str(home / "mlflow")]
    command = [str(BIN / "mlflow"), "server", "--host", ANY, "--port", str(port), "--workers", "1", *backend]
    with running(Service("mlflow", command, home / "mlflow.log", {**os.environ, **QUIET})):
        wait_for("MLflow", lambda: accepts(HOST, port), within=240)
        yield f"http://{HOST}:{port}"


def _make_bucket(endpoint: str) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=KEYS["AWS_DEFAULT_REGION"],
    )
    client.create_bucket(Bucket=BUCKET)
    client.close()


@contextmanager
def installation(
    home: Path, variables: dict[str, str], own: dict[str, str], maps: dict[str, dict[str, Any]]
) -> Iterator[World]:
    """A running Airflow whose heavy steps go to a namespace of the cluster.

    `own`: variables of Airflow alone. `maps`: by folder of include/config, the YAML files that pods find there instead
    of those of their image.
    """
    config_dir = home / "config"
    shutil.copytree(PROJECT / "include" / "config", config_dir, dirs_exist_ok=True)
    pods_config(config_dir, IMAGE, tuple(maps))
    config = Settings(
        home=home / "home",
        config_dir=config_dir,
        store_uri=variables["MASKER_STORE_URI"],
        mlflow_uri=variables["MASKER_MLFLOW_URI"],
        control_db=variables["MASKER_CONTROL_DB"],
        airflow_port=free_port(),
        airflow_log_port=free_port(),
    )
    with namespace() as made, gpu_node():
        made.secret(SECRET, {name: value for name, value in variables.items() if name not in FORWARDED})
        for folder, files in maps.items():
            made.config_map(f"masker-{folder}", files)
        steps = {"AIRFLOW_CONN_KUBERNETES_MASKER": connection(made, made.kubeconfig(home), IMAGE)}
        airflow = Airflow(config, {**variables, **steps, **own})
        try:
            airflow.start()
            yield World(airflow, made, config_dir, variables)
        finally:
            airflow.stop()
