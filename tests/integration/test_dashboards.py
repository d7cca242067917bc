"""Every panel and every rule in a real Prometheus on a running stack: each has data."""

from __future__ import annotations

import io
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from PIL import Image
from tests.integration import monitored_state
from tests.integration.stack_process import Stack, running_stack

from identity_masker.monitoring.dashboards.all import DASHBOARDS
from identity_masker.monitoring.dashboards.infrastructure import GPU
from identity_masker.settings import PROJECT
from identity_masker.stack.airflow_api import AirflowApi
from identity_masker.stack.home import Home

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus"),
    pytest.mark.skipif(shutil.which("prometheus-node-exporter") is None, reason="needs Debian's node exporter"),
    pytest.mark.skipif(shutil.which("prometheus-alertmanager") is None, reason="needs Debian's alertmanager"),
    pytest.mark.skipif(shutil.which("prometheus-pushgateway") is None, reason="needs Debian's pushgateway"),
]
PANELS = {
    f"{dashboard.name}: {panel.title}: {query.expr}": (panel.sparse, query.expr)
    for dashboard in DASHBOARDS
    for panel in dashboard.panels
    for query in panel.queries
}
RECORDED = [
    rule["record"]
    for path in sorted((PROJECT / "docker" / "prometheus" / "rules").glob("*.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "record" in rule and "dcgm" not in group["name"]
]
PATIENCE = 600.0


@dataclass
class Monitored:
    """A stack with a Prometheus."""

    stack: Stack

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.stack.config.prometheus_port}"

    def data(self, query: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=60).json()
        assert answer["status"] == "success", (query, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def empty(self, queries: dict[str, str]) -> list[str]:
        """Names of the queries that still give nothing after a while."""
        deadline = time.monotonic() + PATIENCE
        waiting = dict(queries)
        while waiting and time.monotonic() < deadline:
            waiting = {name: query for name, query in waiting.items() if not self.data(query)}
            time.sleep(2 if waiting else 0)
        return sorted(waiting)


class Traffic(threading.Thread):
    """Pictures and outcomes for as long as it lasts, a few a second."""

    def __init__(self, gateway: str) -> None:
        super().__init__(daemon=True)
        self._gateway, self._ending = gateway, threading.Event()

    def run(self) -> None:
        buffer = io.BytesIO()
        Image.new("RGB", (64, 64), "tan").save(buffer, "PNG")
        with httpx.Client(base_url=self._gateway, timeout=60) as http:
            number = 0
            while not self._ending.wait(0.3):
                user, number = {"x-user-id": f"user-{number % 20}"}, number + 1
                http.post("/v1/mask", content=buffer.getvalue(), headers={"content-type": "image/png", **user})
                http.post("/v1/events", json={"events": [{"name": "revenue", "value": 0.5}]}, headers=user)

    def end(self) -> None:
        self._ending.set()
        self.join(70)


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    folder = tmp_path_factory.mktemp("monitored")
    home, world = folder / "home", folder / "world"
    world.mkdir()
    monitored_state.events_of_three_days(home / "events")
    config = monitored_state.config_with_a_running_experiment(folder / "config")
    with running_stack(home, {"MASKER_CONFIG_DIR": str(config)}) as stack:
        traffic = Traffic(stack.config.gateway)
        traffic.start()
        try:
            _feed(stack, world)
            yield Monitored(stack)
        finally:
            traffic.end()


def _feed(stack: Stack, world: Path) -> None:
    """What a fresh stack has not seen yet."""

    def masker(*arguments: str) -> str:
        done = stack.masker(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    store = stack.config.home / "store"
    _compact(masker_of=stack)
    masker("experiments", "run", monitored_state.EXPERIMENT)
    monitored_state.a_rollout(world, stack.config.control_url, store)
    monitored_state.a_night(world, store, masker, "1")
    api = AirflowApi(stack.config.airflow, "admin", Home(stack.config.home).airflow_password())
    api.trigger("ingest_faces", {"no_such_parameter": 1})  # fails at once: a parameter that the DAG does not have
    api.close()


def _compact(masker_of: Stack) -> None:
    """As keep_house does; it may be at it, and then it is done when this one may."""
    deadline = time.monotonic() + 120
    while (done := masker_of.masker("events", "compact", "--json")).returncode == 75:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(1)
    assert done.returncode == 0, done.stderr


def test_every_panel_of_every_dashboard_has_data(monitored: Monitored) -> None:
    without_gpu = monitored.data("masker_gpus == 0") or not monitored.data("masker_gpus")
    queries = {name: query for name, (sparse, query) in PANELS.items() if not (without_gpu and sparse == GPU)}
    assert monitored.empty(queries) == []


def test_every_recording_rule_has_data(monitored: Monitored) -> None:
    assert monitored.empty({name: name for name in RECORDED}) == []


def test_every_rule_is_evaluated_without_an_error(monitored: Monitored) -> None:
    answer = httpx.get(f"{monitored.url}/api/v1/rules", timeout=60).json()
    rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
    assert len([rule for rule in rules if rule["type"] == "alerting"]) > 30
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}


def test_every_target_answers(monitored: Monitored) -> None:
    assert {row["metric"]["job"] for row in monitored.data("up == 1")} == {
        "gateway", "server", "fleet", "exporter", "alerts", "prometheus", "node", "alertmanager", "pushgateway",
    }  # fmt: skip
    assert monitored.data("up == 0") == []


def test_the_drift_of_the_fed_night_and_the_failed_run_are_alerted(monitored: Monitored) -> None:
    for alert in ("DriftFound", "DagFailed"):
        assert monitored.empty({alert: f'ALERTS{{alertname="{alert}",alertstate="firing"}}'}) == []


def test_alerts_go_to_the_alertmanager_of_the_stack(monitored: Monitored) -> None:
    assert monitored.empty({"discovered": "prometheus_notifications_alertmanagers_discovered == 1"}) == []
