"""The configuration of Prometheus for the embedded stack: docker/prometheus/local.yml with this stack's places."""

from __future__ import annotations

from pathlib import Path
from string import Template

from identity_masker.settings import PROJECT, Settings

FOLDER = PROJECT / "docker" / "prometheus"
TEMPLATE = FOLDER / "local.yml"
NODE_JOB = "\n  - job_name: node\n    static_configs: [{targets: [$node_exporter]}]\n"


def write(config: Settings, folder: Path, *, node_exporter: bool) -> Path:
    """Write prometheus.yml and the token that it presents to the gateway into `folder`; the former's path.

    The token is MASKER_TOKEN; a gateway that asks for none does not look at what it gets.
    """
    token, file = folder / "prometheus.token", folder / "prometheus.yml"
    token.touch(mode=0o600)
    token.write_text(config.token.get_secret_value() if config.token else "none")
    file.write_text(configuration(config, token, node_exporter=node_exporter))
    return file


def configuration(config: Settings, token: Path, *, node_exporter: bool) -> str:
    """The text of prometheus.yml. `token`: file with the gateway's; `node_exporter`: whether the stack runs one."""
    places = {
        "token": str(token),
        "rules": f"{FOLDER}/rules/*.yml",
        "servers": f"{config.home}/fleet/targets.json",
        "gateway": _at(config.host, config.gateway_admin_port or config.gateway_port),
        "fleet": _at(config.host, config.fleet_port),
        "alerts": _at(config.host, config.alerts_port),
        "exporter": _at(config.host, config.exporter_port),
        "prometheus": _at(config.host, config.prometheus_port),
        "node_exporter": _at(config.host, config.node_exporter_port),
    }
    text = TEMPLATE.read_text() + (NODE_JOB if node_exporter else "")
    return Template(text).substitute(places)


def _at(host: str, port: int) -> str:
    return f"'[{host}]:{port}'" if ":" in host else f"'{host}:{port}'"
