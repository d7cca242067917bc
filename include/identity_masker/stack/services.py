"""Bring the services of the stack up, wait for their health, and prepare Airflow's database and pools."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from identity_masker import artifacts
from identity_masker.errors import MaskerError
from identity_masker.settings import PROJECT, Settings
from identity_masker.stack import airflow_settings, optional, supervisor
from identity_masker.stack.airflow_api import AirflowApi
from identity_masker.stack.home import Home

AIRFLOW_PARTS = frozenset({"metadatabase", "scheduler", "triggerer", "dag_processor"})
START_SECONDS = 300


def prepare_airflow(home: Home, environment: dict[str, str]) -> None:
    """Create or upgrade Airflow's database, load the pools and set the password of `admin`."""
    passwords = home.airflow / "passwords.json"
    artifacts.write_json(str(passwords), {"admin": home.secrets()["airflow_password"]})
    passwords.chmod(0o600)
    _airflow(["db", "migrate"], home, environment)
    pools = home.run / "pools.json"
    pools.write_text(json.dumps(airflow_settings.pools(PROJECT / "airflow_settings.yaml")))
    _airflow(["pools", "import", str(pools)], home, environment)


def _airflow(arguments: list[str], home: Home, environment: dict[str, str]) -> None:
    log = home.logs / "airflow-prepare.log"
    with log.open("ab") as output:
        command = [str(Path(sys.executable).with_name("airflow")), *arguments]
        done = subprocess.run(command, env=environment, stdout=output, stderr=output, check=False)
    if done.returncode != 0:
        raise MaskerError(f"`airflow {' '.join(arguments)}` failed", got=log.read_text()[-800:], fix=f"see {log}")


def airflow(config: Settings, home: Home) -> AirflowApi:
    url = f"http://{config.host}:{config.airflow_port}"
    return AirflowApi(url, "admin", home.secrets()["airflow_password"])


def unready(config: Settings, api: AirflowApi) -> list[str]:
    """The names of the services that are not healthy yet."""
    parts = api.healthy()
    waiting = [f"airflow {part}" for part in sorted(AIRFLOW_PARTS) if parts.get(part) != "healthy"]
    if not _answers(f"{config.tracking_uri}/health"):
        waiting.append("mlflow")
    if not _answers(f"http://{config.host}:{config.gateway_port}/health/live"):
        waiting.append("gateway")
    if not _answers(f"http://{config.host}:{config.alerts_port}/health/ready"):
        waiting.append("alerts")
    return waiting


def wait_until_healthy(config: Settings, home: Home, api: AirflowApi, show: Callable[[str], None]) -> None:
    """Block until every service is healthy. Raises `MaskerError` when one gives up or time runs out."""
    deadline = time.monotonic() + START_SECONDS
    while waiting := unready(config, api):
        show(f"waiting for {', '.join(waiting)}")
        dead = [p.name for p in supervisor.processes(home) if p.state == "FATAL" and p.name not in optional.PROGRAMS]
        if dead:
            log = home.logs / f"{dead[0]}.log"
            raise MaskerError(f"{', '.join(dead)} did not start", got=log.read_text()[-800:], fix=f"see {log}")
        if time.monotonic() > deadline:
            raise MaskerError("the stack did not become healthy", got=waiting, fix=f"see the logs in {home.logs}")
        time.sleep(1)


def wait_for_dags(api: AirflowApi, dags: tuple[str, ...], show: Callable[[str], None]) -> None:
    """Block until Airflow has parsed `dags`. Raises `MaskerError` with the import errors if there are any."""
    deadline = time.monotonic() + START_SECONDS
    while missing := [dag for dag in dags if not api.has_dag(dag)]:
        show(f"waiting for DAGs {', '.join(missing)}")
        if errors := api.import_errors():
            raise MaskerError("a DAG does not import", got="; ".join(errors))
        if time.monotonic() > deadline:
            raise MaskerError("Airflow did not load the DAGs", got=f"missing {missing}")
        time.sleep(1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
