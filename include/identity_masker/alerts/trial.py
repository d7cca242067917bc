"""A test alert to every channel, to see whether the configuration works."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from identity_masker.alerts.alert import Alert
from identity_masker.alerts.channels.channel import Channel
from identity_masker.alerts.message import Message


class Tried(BaseModel):
    """`sent`: the channels that took it. `failed`: channel → why not. `missing`: target → the variables it needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sent: list[str]
    failed: dict[str, str]
    missing: dict[str, str]


def tried(channels: Mapping[str, Channel], missing: Mapping[str, str]) -> Tried:
    """Send one test alert to each channel, without routes, quiet hours and outbox."""
    sent, failed = [], {}
    number = uuid.uuid4().hex
    alert = Alert(
        area="infrastructure",
        severity="info",
        title="Test of the alerts",
        text="Nothing has happened: somebody ran `masker alerts test`.",
        incident=f"test/{number}",
        state="notice",
    )
    for name, channel in channels.items():
        try:
            channel.send(Message(id=f"{name}-test-{number}", alerts=(alert,)))
            sent.append(name)
        except Exception as error:  # one channel that fails must not keep the others from being tried
            failed[name] = f"{type(error).__name__}: {error}"
    return Tried(sent=sent, failed=failed, missing=dict(missing))
