"""Takes alerts, decides where and when they go, writes them down, and sends what is due."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel, ConfigDict

from identity_masker.alerts import config as configs
from identity_masker.alerts.alert import Alert
from identity_masker.alerts.channels import configured
from identity_masker.alerts.channels.channel import Channel
from identity_masker.alerts.config import LOG, AlertsConfig, Route
from identity_masker.alerts.delivery import LEASE_SECONDS, Delivered, Deliverer
from identity_masker.alerts.incidents import Incident, Meaning
from identity_masker.alerts.outbox import Outbox, Posting, Written
from identity_masker.alerts.quiet import held_until
from identity_masker.alerts.retention import forget
from identity_masker.errors import TemporaryError
from identity_masker.settings import Settings
from identity_masker.telemetry import logs

DIGEST = "digest"
log = logs.logger(__name__)


class Notified(BaseModel):
    """What became of an alert.

    `meaning`: `opened`, `escalated`, `again` (told anew after its repeat interval), `event`, `ended`; and, sent to
    nobody: `repeat`, `known` (this event was told), `nothing_to_end`. `logged`: the outbox could not be used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    meaning: str
    channels: tuple[str, ...] = ()
    delivered: Delivered = Delivered()


class Desk:
    """Configuration, channels and outbox of one installation. Safe to use from several threads and processes."""

    def __init__(
        self,
        config: AlertsConfig,
        channels: Mapping[str, Channel],
        control_url: str,
        clock: Callable[[], float] = time.time,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        """`clock` gives seconds since 1970. Raises as `Outbox` does."""
        self.config, self.channels = config, channels
        self._clock = clock
        self.outbox = Outbox(control_url)
        self._deliverer = Deliverer(self.outbox, channels, config.retry, clock, lease_seconds)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The desk of these settings. Raises `BadInputError` for a wrong configuration."""
        config = configs.load(settings.config_dir)
        return cls(config, configured.channels(config, settings), settings.control_url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.outbox.close()

    def take(self, alert: Alert) -> Written:
        """Write an alert down for its channels. Raises `TemporaryError` when the database does not answer."""
        now = self._clock()
        repeat = self._route(alert).repeat_hours * 3600.0
        return self.outbox.write(alert, now, repeat, lambda *found: self._postings(now, *found))

    def deliver(self) -> Delivered:
        """Send what is due. Raises as `Deliverer.deliver` does."""
        return self._deliverer.deliver()

    def notify(self, alert: Alert) -> Notified:
        """Write an alert down, then send what is due. Raises as `take` does."""
        written = self.take(alert)
        channels = tuple(posting.channel for posting in written.postings)
        # What is sent to nobody changes nothing about what is due.
        delivered = self._deliver_written(len(channels)) if channels else Delivered()
        return Notified(meaning=written.meaning, channels=channels, delivered=delivered)

    def stop(self) -> None:
        """Let a delivery under way end after the message that it is sending."""
        self._deliverer.stop()

    def _deliver_written(self, count: int) -> Delivered:
        """Send what is due. Where that fails nothing is lost: the alert is written down."""
        try:
            return self.deliver()
        except TemporaryError as error:
            log.warning("alerts_not_delivered", reason=str(error))
            return Delivered(waiting=count)

    def forget(self) -> None:
        """Remove what is too old to matter. Raises `TemporaryError` when the database does not answer."""
        forget(self.outbox, self._clock())

    def _route(self, alert: Alert) -> Route:
        return self.config.route(alert.area, alert.severity)

    def _postings(self, now: float, incident: Incident, meaning: Meaning, heard: Sequence[str]) -> list[Posting]:
        # Of the incident, not of the alert: its end is told as loudly as its worst moment.
        route = self.config.route(incident.area, incident.severity)
        if meaning == "ended" and not route.recovery:
            return []
        wanted = heard if meaning == "ended" else route.channels
        there = [name for name in wanted if name in self.channels] or [LOG]
        return [self._posting(name, route, incident, now) for name in there]

    def _posting(self, channel: str, route: Route, incident: Incident, now: float) -> Posting:
        if channel == LOG:
            return Posting(LOG, now, "")
        end = held_until(self.config.quiet_hours, datetime.fromtimestamp(now, UTC))
        if end is not None and incident.severity != "critical":
            return Posting(channel, end.timestamp(), DIGEST)
        if route.group_seconds:
            return Posting(channel, now + route.group_seconds, route.name)
        return Posting(channel, now, "")
