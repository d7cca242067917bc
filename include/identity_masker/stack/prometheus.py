"""The configuration of Prometheus for the embedded stack: docker/prometheus/local.yml with this stack's places."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from string import Template

from identity_masker.settings import PROJECT, Settings

FOLDER = PROJECT / "docker" / "prometheus"
TEMPLATE = FOLDER / "local.yml"
JOBS = {
    "node-exporter": "\n  - job_name: node\n    static_configs: [{targets: [$node_exporter]}]\n",
    "alertmanager": "\n  - job_name: alertmanager\n    static_configs: [{targets: [$alertmanager]}]\n",
    # The labels of what was pushed name the step; those of the target would hide them.
    "pushgateway": "\n  - job_name: pushgateway\n    honor_labels: true\n"
    "    static_configs: [{targets: [$pushgateway]}]\n",
}
ALERTING = "\nalerting:\n  alertmanagers: [{static_configs: [{targets: [$alertmanager]}]}]\n"


def write(config: Settings, folder: Path, services: Collection[str]) -> Path:
    """Write prometheus.yml and the token that it presents to the gateway into `folder`; the former's path.

    The token is MASKER_TOKEN; a gateway that asks for none does not look at what it gets. `services`: what of `JOBS`
    the stack runs.
    """
    token, file = folder / "prometheus.token", folder / "prometheus.yml"
    token.touch(mode=0o600)
    token.write_text(config.token.get_secret_value() if config.token else "none")
    text = TEMPLATE.read_text() + "".join(job for service, job in JOBS.items() if service in services)
    if "alertmanager" in services:
        text += ALERTING
    file.write_text(Template(text).substitute(_places(config, token)))
    return file


def _places(config: Settings, token: Path) -> dict[str, str]:
    """What the template leaves open. `token`: file with the gateway's."""
    return {
        "token": str(token),
        "rules": f"{FOLDER}/rules/*.yml",
        "servers": f"{config.home}/fleet/targets.json",
        "gateway": _at(config.host, config.gateway_admin_port or config.gateway_port),
        "fleet": _at(config.host, config.fleet_port),
        "alerts": _at(config.host, config.alerts_port),
        "exporter": _at(config.host, config.exporter_port),
        "prometheus": _at(config.host, config.prometheus_port),
        "node_exporter": _at(config.host, config.node_exporter_port),
        "alertmanager": _at(config.host, config.alertmanager_port),
        "pushgateway": _at(config.host, config.pushgateway_port),
    }


def _at(host: str, port: int) -> str:
    return f"'[{host}]:{port}'" if ":" in host else f"'{host}:{port}'"
