"""Alertmanager for the embedded stack: docker/alertmanager/alertmanager.yml with this stack's alerts service."""

from __future__ import annotations

from pathlib import Path

import yaml

from identity_masker.settings import PROJECT, Settings

SOURCE = PROJECT / "docker" / "alertmanager" / "alertmanager.yml"


def write(config: Settings, folder: Path) -> Path:
    """Write alertmanager.yml, and the token where the alerts service asks for one, into `folder`; the former's path.

    Routes, groups and inhibitions are those of production.
    """
    token, file = folder / "alertmanager.token", folder / "alertmanager.yml"
    token.touch(mode=0o600)
    token.write_text(config.alerts_token.get_secret_value() if config.alerts_token else "none")
    document = yaml.safe_load(SOURCE.read_text())
    for receiver in document["receivers"]:
        for webhook in receiver["webhook_configs"]:
            webhook["url"] = f"http://{_address(config.host)}:{config.alerts_port}/v1/alertmanager"
            webhook["http_config"]["authorization"]["credentials_file"] = str(token)
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return file


def _address(host: str) -> str:
    return f"[{host}]" if ":" in host else host
