"""Sends alerts beside work that must not wait for a channel."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Self

from identity_masker.alerts.alert import Alert
from identity_masker.alerts.channels import log as log_channel
from identity_masker.alerts.desk import Desk
from identity_masker.alerts.scrub import scrubbed
from identity_masker.settings import Settings
from identity_masker.telemetry import logs

PATIENCE_SECONDS = 30.0
"""How long the end of the work waits for what is being sent; the rest stays in the outbox."""

log = logs.logger(__name__)


class Courier:
    """Writes alerts down at once and sends them in a thread. Never raises."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._desk: Desk | None = None
        self._news, self._over = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait a while for what is being sent."""
        self._over.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_SECONDS)

    def tell(self, alerts: Iterable[Alert]) -> None:
        """Write alerts down; where that is impossible they go to the log."""
        for alert in alerts:
            try:
                self._desk = self._desk or Desk.of(self._settings)
                if not self._desk.take(alert).postings:
                    continue
            except Exception as error:  # whatever it is, the work goes on
                log_channel.write(alert, outbox_failed=scrubbed(f"{type(error).__name__}: {error}"))
                continue
            self._wake()

    def _wake(self) -> None:
        self._news.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._deliver, name="alerts", daemon=True)
            self._thread.start()

    def _deliver(self) -> None:
        while self._news.wait():
            self._news.clear()
            over = self._over.is_set()
            try:
                if self._desk is not None:
                    self._desk.deliver()
            except Exception as error:
                log.warning("alerts_not_delivered", reason=scrubbed(f"{type(error).__name__}: {error}"))
            if over:
                return
