"""A real Alertmanager that posts to a real `masker alerts serve`."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.unit.alerts.endpoint import endpoint

from identity_masker.settings import PROJECT, Settings
from identity_masker.stack import optional
from identity_masker.stack.home import Home

TOKEN = "a-token-of-the-tests"
CONFIG = {"channels": {"hook": {"kind": "webhook"}}, "routes": [{"name": "all", "channels": ["hook"]}]}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def until(true: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def process(command: list[str], ready: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, **options) as started:
        try:
            until(lambda: answers(ready) or started.poll() is not None)
            assert started.poll() is None
            yield started
        finally:
            started.send_signal(signal.SIGTERM)
            started.wait(60)


@contextmanager
def alert_service(folder: Path, webhook: str) -> Iterator[str]:
    (folder / "alerts.yaml").write_text(yaml.safe_dump(CONFIG))
    url = f"http://127.0.0.1:{free_port()}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MASKER_")},
        "MASKER_HOME": str(folder / "home"),
        "MASKER_CONFIG_DIR": str(folder),
        "MASKER_ALERTS_PORT": url.rpartition(":")[2],
        "MASKER_ALERTS_TOKEN": TOKEN,
        "MASKER_WEBHOOK_URL": webhook,
        "MASKER_WEBHOOK_SECRET": "a-secret-of-the-tests",
    }
    command = [sys.executable, "-m", "identity_masker.cli", "alerts", "serve"]
    with process(command, f"{url}/health/ready", env=environment, cwd=PROJECT) as service:
        yield url
    assert service.returncode == 0


@contextmanager
def alertmanager(folder: Path, service: str) -> Iterator[str]:
    receiver = {
        "name": "masker",
        "webhook_configs": [
            {
                "url": f"{service}/v1/alertmanager",
                "send_resolved": True,
                "http_config": {"authorization": {"credentials": TOKEN}},
            }
        ],
    }
    route = {"receiver": "masker", "group_wait": "100ms", "group_interval": "200ms", "repeat_interval": "1h"}
    (folder / "alertmanager.yml").write_text(yaml.safe_dump({"route": route, "receivers": [receiver]}))
    url = f"http://127.0.0.1:{free_port()}"
    binary = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    assert binary is not None, "apt-get install prometheus-alertmanager"
    command = [
        binary,
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/alertmanager",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with process(command, f"{url}/-/ready", stderr=subprocess.DEVNULL):
        yield url


def test_what_prometheus_finds_is_told_once_and_its_end_too(tmp_path: Path) -> None:
    labels = {"alertname": "ErrorBudgetBurns", "severity": "critical", "area": "serving", "job": "gateway"}
    alert = {"labels": labels, "annotations": {"summary": "5 % of requests fail", "description": "for 10 minutes"}}
    with (
        endpoint() as receiver,
        alert_service(tmp_path, receiver.url) as service,
        alertmanager(tmp_path, service) as manager,
    ):
        posted = httpx.post(f"{manager}/api/v2/alerts", json=[alert])
        assert posted.status_code == 200, posted.text
        until(lambda: len(receiver.accepted) == 1)
        ended = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        began = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        httpx.post(f"{manager}/api/v2/alerts", json=[alert | {"startsAt": began, "endsAt": ended}])
        until(lambda: len(receiver.accepted) == 2)
        firing, resolved = (body["alerts"][0] for body in receiver.documents())
        assert (firing["state"], resolved["state"]) == ("firing", "resolved")
        assert firing["incident"] == resolved["incident"]
        assert (firing["area"], firing["severity"], firing["title"]) == ("serving", "critical", "5 % of requests fail")
        assert firing["facts"] == {"rule": "ErrorBudgetBurns", "job": "gateway"}
        metrics = httpx.get(f"{service}/metrics").text
        assert 'masker_alerts_sent_total{channel="hook",outcome="sent"} 2.0' in metrics


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus")
def test_prometheus_of_the_stack_hands_what_it_finds_through_alertmanager_to_the_channels(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    with endpoint() as receiver, alert_service(tmp_path, receiver.url) as service:
        ports = {f"{name}_port": free_port() for name in ("prometheus", "alertmanager", "node_exporter")}
        port = int(service.rpartition(":")[2])
        config = Settings.model_validate({"home": home.root, "alerts_port": port, "alerts_token": TOKEN, **ports})
        commands = {name: shlex.split(command) for name, command in optional.commands(config, home).items()}
        manager, finder = (f"http://127.0.0.1:{ports[f'{name}_port']}" for name in ("alertmanager", "prometheus"))
        with (
            process(commands["alertmanager"], f"{manager}/-/ready", stderr=subprocess.DEVNULL),
            process(commands["prometheus"], f"{finder}/-/ready", stderr=subprocess.DEVNULL),
        ):
            until(lambda: len(httpx.get(f"{finder}/api/v1/alertmanagers").json()["data"]["activeAlertmanagers"]) == 1)
            labels = {"alertname": "NoModelServer", "severity": "critical", "area": "serving"}
            httpx.post(f"{manager}/api/v2/alerts", json=[{"labels": labels, "annotations": {"summary": "none"}}])
            until(lambda: len(receiver.accepted) == 1)
    (alert,) = receiver.documents()[0]["alerts"]
    assert (alert["title"], alert["severity"], alert["facts"]["rule"]) == ("none", "critical", "NoModelServer")
