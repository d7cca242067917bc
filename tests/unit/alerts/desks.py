"""Desks with a clock of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from identity_masker.alerts.alert import Alert
from identity_masker.alerts.channels.channel import Channel
from identity_masker.alerts.channels.log import LogChannel
from identity_masker.alerts.channels.webhook import WebhookChannel
from identity_masker.alerts.config import AlertsConfig
from identity_masker.alerts.desk import Desk

SECRET = SecretStr("a-secret-of-the-tests")
NOON = 1_763_899_200.0
"""2025-11-23 12:00 UTC."""


class Clock:
    """A clock that the test moves."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def config(**fields: Any) -> AlertsConfig:
    """A webhook `hook` that gets all, unless `fields` say otherwise."""
    known = {"channels": {"hook": {"kind": "webhook"}}, "routes": [{"name": "all", "channels": ["hook"]}]}
    return AlertsConfig.model_validate(known | fields)


def desk(
    folder: Path | str, url: str, clock: Clock, *, others: Mapping[str, Channel] | None = None, **fields: Any
) -> Desk:
    """A desk on FOLDER/control.db (or the database URL) whose webhook posts to `url`."""
    database = folder if isinstance(folder, str) else f"sqlite:///{folder}/control.db"
    there: dict[str, Channel] = {"log": LogChannel(), "hook": WebhookChannel(SecretStr(url), SECRET, clock)}
    return Desk(config(**fields), there | dict(others or {}), database, clock)


def alert(title: str = "a title", **fields: Any) -> Alert:
    """A warning about drift; each title is an incident of its own."""
    known = {"area": "drift", "severity": "warning", "title": title, "incident": f"drift/{title}"[:200]}
    return Alert.model_validate(known | fields)
