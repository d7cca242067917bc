"""Services that the stack starts where their programs are installed: Prometheus, its node exporter, Alertmanager."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from identity_masker.settings import Settings
from identity_masker.stack import alertmanager, prometheus
from identity_masker.stack.home import Home

PROMETHEUS, NODE_EXPORTER = "prometheus", "prometheus-node-exporter"
ALERTMANAGER = "prometheus-alertmanager"
PROGRAMS = (PROMETHEUS, NODE_EXPORTER, ALERTMANAGER)
SERVICES = frozenset({"prometheus", "node-exporter", "alertmanager"})
"""Names in the process manager; the stack is healthy without them."""

RETENTION = ("7d", "512MB")
"""Prometheus forgets by whichever comes first."""


def ports(config: Settings) -> dict[str, tuple[int, str]]:
    """What listens, of what is installed → (port, the variable that moves it)."""
    found = {
        PROMETHEUS: ("prometheus", config.prometheus_port, "MASKER_PROMETHEUS_PORT"),
        NODE_EXPORTER: ("node exporter", config.node_exporter_port, "MASKER_NODE_EXPORTER_PORT"),
        ALERTMANAGER: ("alertmanager", config.alertmanager_port, "MASKER_ALERTMANAGER_PORT"),
    }
    return {name: (port, variable) for program, (name, port, variable) in found.items() if shutil.which(program)}


def commands(config: Settings, home: Home) -> dict[str, str]:
    """Service → shell command, for the process manager; writes the files that Prometheus and Alertmanager read."""
    found: dict[str, str] = {}
    if program := shutil.which(PROMETHEUS):
        there = {"node_exporter": shutil.which(NODE_EXPORTER), "alertmanager": shutil.which(ALERTMANAGER)}
        file = prometheus.write(config, home.run, **{name: path is not None for name, path in there.items()})
        found["prometheus"] = _prometheus(program, file, config, home)
    if program := shutil.which(NODE_EXPORTER):
        address = f"{config.host}:{config.node_exporter_port}"
        found["node-exporter"] = shlex.join([program, f"--web.listen-address={address}", "--log.level=error"])
    if program := shutil.which(ALERTMANAGER):
        found["alertmanager"] = _alertmanager(program, config, home)
    return found


def _prometheus(program: str, file: Path, config: Settings, home: Home) -> str:
    days, size = RETENTION
    options = {
        "config.file": str(file),
        "storage.tsdb.path": str(home.root / "prometheus"),
        "storage.tsdb.retention.time": days,
        "storage.tsdb.retention.size": size,
        "web.listen-address": f"{config.host}:{config.prometheus_port}",
        "log.level": "warn",
    }
    return _command(program, options)


def _alertmanager(program: str, config: Settings, home: Home) -> str:
    options = {
        "config.file": str(alertmanager.write(config, home.run)),
        "storage.path": str(home.root / "alertmanager"),
        "web.listen-address": f"{config.host}:{config.alertmanager_port}",
        "cluster.listen-address": "",  # alone: no port for others of its kind
        "log.level": "warn",
    }
    return _command(program, options)


def _command(program: str, options: dict[str, str]) -> str:
    return shlex.join([program, *(f"--{name}={value}" for name, value in options.items())])
