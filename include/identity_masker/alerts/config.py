"""How alerts are sent: include/config/alerts.yaml."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from identity_masker.alerts.alert import Area, Severity
from identity_masker.documents import load_yaml

LOG = "log"
"""The channel that is always there."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SlackTarget(_Section):
    """A Slack channel; there when MASKER_SLACK_TOKEN is set."""

    kind: Literal["slack"]
    channel: str = Field(pattern=r"^(#[^\s#,]{1,80}|[CDG][A-Z0-9]{6,})$", description="#name or the channel's id.")


class EmailTarget(_Section):
    """A list of recipients; there when MASKER_SMTP_HOST and MASKER_SMTP_FROM are set and it has a recipient."""

    kind: Literal["email"]
    to: tuple[str, ...] = Field(default=(), description="Default: MASKER_SMTP_TO.")

    @field_validator("to")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(address(each) for each in value)


class WebhookTarget(_Section):
    """The HTTP endpoint of MASKER_WEBHOOK_URL; there when that and MASKER_WEBHOOK_SECRET are set."""

    kind: Literal["webhook"]


Target = Annotated[SlackTarget | EmailTarget | WebhookTarget, Field(discriminator="kind")]


class Route(_Section):
    """Which alerts go where. An empty `areas` or `severities` means all."""

    name: Name
    areas: tuple[Area, ...] = ()
    severities: tuple[Severity, ...] = ()
    channels: tuple[Name, ...] = Field(min_length=1)
    group_seconds: float = Field(default=0.0, ge=0.0, le=3600.0, description="Gather so long, then send one message.")
    repeat_hours: float = Field(default=4.0, gt=0.0, description="An incident that still fires is told again then.")
    recovery: bool = Field(default=True, description="Tell when it is over.")

    def takes(self, area: Area, severity: Severity) -> bool:
        return (not self.areas or area in self.areas) and (not self.severities or severity in self.severities)


class QuietHours(_Section):
    """When only critical alerts are sent; the others come as one message at `until`."""

    zone: str = Field(default="UTC", description="IANA name, like Europe/Berlin.")
    since: time
    until: time

    @field_validator("zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is no time zone, like Europe/Berlin or UTC") from error
        return value

    @model_validator(mode="after")
    def _span(self) -> Self:
        if self.since == self.until:
            raise ValueError("since and until are the same time: quiet hours have to end")
        if self.since.tzinfo or self.until.tzinfo:
            raise ValueError("since and until have no zone of their own; set zone")
        return self


class Retry(_Section):
    """How a channel that does not answer is tried again: waits grow by `factor` from first to longest."""

    first_seconds: float = Field(default=5.0, gt=0.0)
    factor: float = Field(default=2.0, ge=1.0)
    longest_seconds: float = Field(default=300.0, gt=0.0)
    give_up_hours: float = Field(default=72.0, gt=0.0, description="Then the alert goes to the log instead.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.longest_seconds < self.first_seconds:
            raise ValueError(f"longest_seconds {self.longest_seconds:g} is below first_seconds {self.first_seconds:g}")
        return self


class AlertsConfig(_Section):
    """The whole file. The first route that takes an alert sends it; what none takes goes to the log."""

    channels: dict[Name, Target]
    routes: tuple[Route, ...] = Field(min_length=1)
    quiet_hours: QuietHours | None = None
    retry: Retry = Retry()

    @model_validator(mode="after")
    def _names(self) -> Self:
        if LOG in self.channels:
            raise ValueError(f"the channel {LOG} is built in and cannot be configured")
        names = [route.name for route in self.routes]
        if len(set(names)) < len(names):
            raise ValueError(f"two routes have the same name: {', '.join(names)}")
        for route in self.routes:
            if unknown := sorted(set(route.channels) - set(self.channels) - {LOG}):
                known = ", ".join(sorted({*self.channels, LOG}))
                raise ValueError(f"route {route.name} names unknown channels {', '.join(unknown)}; known: {known}")
        return self

    def route(self, area: Area, severity: Severity) -> Route:
        """The first route that takes such an alert; else one to the log."""
        taking = (route for route in self.routes if route.takes(area, severity))
        return next(taking, Route(name="nowhere", channels=(LOG,)))


def address(text: str) -> str:
    """A bare e-mail address. Raises `ValueError` for anything else."""
    local, at, domain = text.strip().rpartition("@")
    if not at or not local or not domain or any(c.isspace() or c in '<>,;"' for c in text.strip()):
        raise ValueError(f"{text!r} is not an e-mail address like team@example.org")
    return text.strip()


def load(folder: Path) -> AlertsConfig:
    """Read FOLDER/alerts.yaml.

    Raises `NotFoundError` without the file and `BadInputError` that names file, place and reason.
    """
    return load_yaml(AlertsConfig, folder / "alerts.yaml", "configuration of alerts", fix="set MASKER_CONFIG_DIR")
