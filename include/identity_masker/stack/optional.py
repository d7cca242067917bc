"""Services that the stack starts where their programs are installed: Prometheus and its node exporter."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from identity_masker.settings import Settings
from identity_masker.stack import prometheus
from identity_masker.stack.home import Home

PROMETHEUS, NODE_EXPORTER = "prometheus", "prometheus-node-exporter"
PROGRAMS = (PROMETHEUS, NODE_EXPORTER)
SERVICES = frozenset({"prometheus", "node-exporter"})
"""Names in the process manager; the stack is healthy without them."""

RETENTION = ("7d", "512MB")
"""Prometheus forgets by whichever comes first."""


def ports(config: Settings) -> dict[str, tuple[int, str]]:
    """What listens, of what is installed → (port, the variable that moves it)."""
    found = {
        PROMETHEUS: ("prometheus", config.prometheus_port, "MASKER_PROMETHEUS_PORT"),
        NODE_EXPORTER: ("node exporter", config.node_exporter_port, "MASKER_NODE_EXPORTER_PORT"),
    }
    return {name: (port, variable) for program, (name, port, variable) in found.items() if shutil.which(program)}


def commands(config: Settings, home: Home) -> dict[str, str]:
    """Service → shell command, for the process manager; writes the configuration that Prometheus reads."""
    found: dict[str, str] = {}
    if program := shutil.which(PROMETHEUS):
        file = prometheus.write(config, home.run, node_exporter=shutil.which(NODE_EXPORTER) is not None)
        found["prometheus"] = _prometheus(program, file, config, home)
    if program := shutil.which(NODE_EXPORTER):
        address = f"{config.host}:{config.node_exporter_port}"
        found["node-exporter"] = shlex.join([program, f"--web.listen-address={address}", "--log.level=error"])
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
    return shlex.join([program, *(f"--{name}={value}" for name, value in options.items())])
