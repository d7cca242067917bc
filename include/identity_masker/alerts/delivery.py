"""Sends what is due: channel by channel, in order, and comes back later where a channel does not answer."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from identity_masker.alerts import queue
from identity_masker.alerts.backoff import delay
from identity_masker.alerts.channels import log as log_channel
from identity_masker.alerts.channels.channel import Channel, ChannelDownError, MessageRefusedError
from identity_masker.alerts.config import Retry
from identity_masker.alerts.message import Message
from identity_masker.alerts.outbox import Outbox
from identity_masker.alerts.queue import Item, Queue
from identity_masker.alerts.scrub import scrubbed
from identity_masker.telemetry import logs

LEASE_SECONDS = 180.0
"""Longer than any message takes: a mail server may use up the time of each of its answers."""

log = logs.logger(__name__)


class Delivered(BaseModel):
    """One pass over all channels. `sent` and `refused` count alerts; `failed` maps a channel to why it took nothing;
    `given_up` are alerts that went to the log after all; `waiting` is what is left.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sent: dict[str, int] = {}
    refused: dict[str, int] = {}
    failed: dict[str, str] = {}
    given_up: int = 0
    waiting: int = 0


class Deliverer:
    """Any number of these may work on one outbox; a channel has one sender at a time."""

    def __init__(
        self,
        outbox: Outbox,
        channels: Mapping[str, Channel],
        retry: Retry,
        clock: Callable[[], float] = time.time,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._outbox, self._channels, self._retry, self._clock = outbox, channels, retry, clock
        owner = f"{socket.gethostname()[:30]}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._stopping = threading.Event()
        self._queues = {name: Queue(outbox, name, owner, lease_seconds) for name in channels}

    def stop(self) -> None:
        """Send what is being sent, and nothing more: a process that has to end leaves the rest to others."""
        self._stopping.set()

    def deliver(self) -> Delivered:
        """Send everything that is due. Raises `TemporaryError` when the control database does not answer."""
        sent, refused, failed = Counter[str](), Counter[str](), dict[str, str]()
        for name in self._channels:
            self._empty(name, sent, refused, failed)
        given_up = queue.give_up(self._outbox, self._clock() - self._retry.give_up_hours * 3600.0)
        for name, alert in given_up:
            log_channel.write(alert, given_up_on=name)
        left = sum(count for count, _ in queue.waiting(self._outbox).values())
        return Delivered(sent=dict(sent), refused=dict(refused), failed=failed, given_up=len(given_up), waiting=left)

    def _empty(self, name: str, sent: Counter[str], refused: Counter[str], failed: dict[str, str]) -> None:
        """Send on one channel until nothing is due, it fails, or somebody else is sending on it."""
        mine = self._queues[name]
        # Looked at again after the release: what was written while we held the channel found it taken.
        while not self._stopping.is_set() and mine.is_due(self._clock()):
            if not mine.claim(self._clock()):
                return
            try:
                while mine.claim(self._clock()) and (items := mine.next(self._clock())):
                    if not self._send(name, items, sent, refused, failed) or self._stopping.is_set():
                        return
            finally:
                mine.release()

    def _send(
        self, name: str, items: Sequence[Item], sent: Counter[str], refused: Counter[str], failed: dict[str, str]
    ) -> bool:
        """Send one message and record what came of it; whether to go on with the channel."""
        try:
            reference = self._channels[name].send(_message(name, items))
        except MessageRefusedError as error:
            refused[name] += len(items)
            for item in items:
                log_channel.write(item.alert, refused_by=name, reason=str(error))
            return self._queues[name].refused(items, str(error))
        except Exception as error:  # whatever a channel does, the others and the outbox go on
            failed[name] = scrubbed(str(error) if isinstance(error, ChannelDownError) else repr(error))[:500]
            self._put_off(name, items, error, failed[name])
            return False
        sent[name] += len(items)
        return self._queues[name].sent(items, reference, self._clock())

    def _put_off(self, name: str, items: Sequence[Item], error: Exception, reason: str) -> None:
        asked = error.retry_after if isinstance(error, ChannelDownError) else None
        failures = self._queues[name].failures() + 1
        wait = delay(self._retry, failures, asked)
        log.warning(
            "alert_not_sent", channel=name, alerts=len(items), failures=failures, again_in_seconds=round(wait, 1),
            reason=reason,
        )  # fmt: skip
        self._queues[name].failed(items, reason, self._clock() + wait)


def _message(channel: str, items: Sequence[Item]) -> Message:
    thread = items[0].thread if len(items) == 1 else None
    # The same at each try of the same alerts, and of no other installation: mail servers drop an id they have seen.
    made_of = "|".join(f"{item.delivery} {item.created_at!r} {item.alert.incident}" for item in items)
    number = f"{channel}-{items[0].delivery}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    return Message(id=number, alerts=tuple(item.alert for item in items), thread=thread)
