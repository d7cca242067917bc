"""What every channel is, and how it says that it cannot."""

from __future__ import annotations

from typing import Protocol

from identity_masker.alerts.message import Message
from identity_masker.errors import MaskerError, TemporaryError

SEND_SECONDS = 10.0
"""How long one answer of a channel is waited for."""


class ChannelDownError(TemporaryError):
    """The channel takes nothing now; `retry_after` is its own wish in seconds."""

    def __init__(self, what: str, *, got: object = None, fix: str | None = None, retry_after: float | None = None):
        super().__init__(what, got=got, fix=fix)
        self.retry_after = retry_after


class MessageRefusedError(MaskerError):
    """The channel works and will never take this message."""


class Channel(Protocol):
    """One place that alerts go to."""

    def send(self, message: Message) -> str | None:
        """Send, and return what the channel calls the message, for later ones of its thread.

        Raises `ChannelDownError` when it may work later and `MessageRefusedError` when it never will.
        """
        ...
