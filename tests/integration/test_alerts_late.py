"""A DAG run that is late, in an Airflow with a scheduler and a triggerer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.integration.test_airflow_dags import AIRFLOW, prepared
from tests.integration.test_alerts_airflow import CONFIG, DAGS, told
from tests.unit.alerts.endpoint import endpoint

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def until(true: Callable[[], bool], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(1.0)


def healthy(base: str) -> bool:
    try:
        found = httpx.get(f"{base}/api/v2/monitor/health", timeout=10).json()
    except (httpx.TransportError, ValueError):
        return False
    return all(found[part]["status"] == "healthy" for part in ("scheduler", "triggerer", "dag_processor"))


@contextmanager
def standalone(environment: dict[str, str], log: Path) -> Iterator[dict[str, str]]:
    """All of Airflow, and the environment to talk to it."""
    api, worker, trigger = free_ports(3)
    base = f"http://127.0.0.1:{api}"
    whole = {
        **environment,
        "PATH": f"{Path(AIRFLOW).parent}{os.pathsep}{os.environ['PATH']}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(api),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": base,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger),
    }
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [AIRFLOW, "standalone"], env=whole, stdout=output, stderr=output, start_new_session=True
        ) as all_,
    ):
        try:
            until(lambda: healthy(base))
            yield whole
        finally:
            os.killpg(all_.pid, signal.SIGTERM)
            try:
                all_.wait(60)
            finally:
                os.killpg(all_.pid, signal.SIGKILL)


def test_a_late_run_is_told_while_it_runs_and_is_over_with_its_success(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "alerts.yaml").write_text(CONFIG)
    with endpoint() as receiver:
        environment = {
            **prepared(tmp_path, DAGS),
            "MASKER_CONFIG_DIR": str(tmp_path / "config"),
            "MASKER_WEBHOOK_URL": receiver.url,
            "MASKER_WEBHOOK_SECRET": "a-secret-of-this-test",
        }
        log = tmp_path / "airflow.log"
        with standalone(environment, log) as whole:
            # `prepared` has read the DAG files: they are in the database, but made by another process as paused.
            for command in (["dags", "unpause", "late_probe"], ["dags", "trigger", "late_probe"]):
                subprocess.run([AIRFLOW, *command], env=whole, check=True, capture_output=True, timeout=180)
            until(lambda: len(receiver.accepted) >= 2)
        assert told(receiver) == [("firing", "late_probe is late"), ("resolved", "late_probe is no longer late")]
