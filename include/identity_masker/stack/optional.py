"""Services that the stack starts where their programs are installed: Prometheus and what belongs to it."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from identity_masker.settings import Settings
from identity_masker.stack import alertmanager, prometheus
from identity_masker.stack.home import Home

PROMETHEUS = "prometheus"
PROGRAMS = {
    "prometheus": PROMETHEUS,
    "node-exporter": "prometheus-node-exporter",
    "alertmanager": "prometheus-alertmanager",
    "pushgateway": "prometheus-pushgateway",
}
"""Service of the process manager → program, named as its package of Debian. The stack is healthy without them."""

RETENTION = ("7d", "512MB")
"""Prometheus forgets by whichever comes first."""


def installed() -> dict[str, str]:
    """Service → path of its program."""
    found = {service: shutil.which(program) for service, program in PROGRAMS.items()}
    return {service: path for service, path in found.items() if path is not None}


def ports(config: Settings) -> dict[str, tuple[int, str]]:
    """What listens, of what is installed → (port, the variable that moves it)."""
    numbers = {service: getattr(config, f"{_field(service)}_port") for service in installed()}
    return {service: (port, f"MASKER_{_field(service).upper()}_PORT") for service, port in numbers.items()}


def variables(config: Settings) -> dict[str, str]:
    """What the stack's processes have to know of them, unless the settings say otherwise."""
    if config.pushgateway_url or "pushgateway" not in installed():
        return {}
    return {"MASKER_PUSHGATEWAY_URL": f"http://{config.host}:{config.pushgateway_port}"}


def commands(config: Settings, home: Home) -> dict[str, str]:
    """Service → shell command, for the process manager; writes the files that Prometheus and Alertmanager read."""
    programs = installed()
    own = {
        "prometheus": lambda: _prometheus(prometheus.write(config, home.run, programs), home),
        "alertmanager": lambda: _alertmanager(alertmanager.write(config, home.run), home),
    }
    found = {}
    for service, (port, _) in ports(config).items():
        options = {"web.listen-address": f"{config.host}:{port}", "log.level": "warn"}
        options |= own[service]() if service in own else {}
        found[service] = shlex.join([programs[service], *(f"--{name}={value}" for name, value in options.items())])
    return found


def _prometheus(file: Path, home: Home) -> dict[str, str]:
    days, size = RETENTION
    return {
        "config.file": str(file),
        "storage.tsdb.path": str(home.root / "prometheus"),
        "storage.tsdb.retention.time": days,
        "storage.tsdb.retention.size": size,
    }


def _alertmanager(file: Path, home: Home) -> dict[str, str]:
    return {
        "config.file": str(file),
        "storage.path": str(home.root / "alertmanager"),
        "cluster.listen-address": "",  # alone: no port for others of its kind
    }


def _field(service: str) -> str:
    """The service as settings call it."""
    return service.replace("-", "_")
