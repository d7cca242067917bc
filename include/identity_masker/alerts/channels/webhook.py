"""An HTTP endpoint that gets alerts as signed JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import httpx
from pydantic import SecretStr

from identity_masker.alerts.channels.channel import SEND_SECONDS, ChannelDownError, MessageRefusedError
from identity_masker.alerts.channels.signature import DELIVERY, SIGNATURE, TIMESTAMP, sign
from identity_masker.alerts.message import Message

REFUSALS = frozenset({400, 413, 415, 422})
"""Answers on which the same body will be refused again. Others (401, 404, 429, 5xx) may pass."""


class WebhookChannel:
    """One URL."""

    def __init__(self, url: SecretStr, secret: SecretStr, clock: Callable[[], float] = time.time) -> None:
        self._url = url
        self._secret = secret
        self._clock = clock

    def send(self, message: Message) -> str | None:
        """Post the message. `X-Masker-Delivery` is the same at each try, so that the receiver can tell a repeat."""
        body, now = document(message), int(self._clock())
        headers = {
            "content-type": "application/json",
            DELIVERY: message.id,
            TIMESTAMP: str(now),
            SIGNATURE: sign(self._secret, now, body),
        }
        try:
            answer = httpx.post(
                self._url.get_secret_value(),
                content=body,
                headers=headers,
                timeout=SEND_SECONDS,
                follow_redirects=False,
            )
        except httpx.HTTPError as error:
            # Its message may quote the URL, which may hold a secret.
            raise ChannelDownError("the webhook does not answer", got=type(error).__name__) from error
        if not answer.is_success:
            raise self._failure(answer)
        return message.id

    def _failure(self, answer: httpx.Response) -> Exception:
        if answer.status_code in REFUSALS:
            return MessageRefusedError("the webhook refuses the message", got=f"status {answer.status_code}")
        wish = retry_after(answer.headers.get("retry-after"), self._clock())
        return ChannelDownError(
            "the webhook did not take the message", got=f"status {answer.status_code}", retry_after=wish
        )


def document(message: Message) -> bytes:
    """The JSON body: `id`, `subject`, `thread`, and the `alerts`."""
    alerts = [alert.model_dump(mode="json") for alert in message.alerts]
    whole = {"version": 1, "id": message.id, "subject": message.subject, "thread": message.thread, "alerts": alerts}
    return json.dumps(whole, allow_nan=False, ensure_ascii=False).encode()


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header (RFC 9110: seconds or a date) asks for; None when it says nothing."""
    if not header:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return float(header.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except (ValueError, OverflowError):
        return None
