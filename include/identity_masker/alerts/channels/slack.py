"""Slack: one message a thread, answers below it."""

from __future__ import annotations

from http.client import HTTPException
from typing import Any

from pydantic import SecretStr
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from identity_masker.alerts.alert import Alert, shortened
from identity_masker.alerts.channels.channel import SEND_SECONDS, ChannelDownError, MessageRefusedError
from identity_masker.alerts.message import Message, facts, label, plain

# Limits of Block Kit: https://docs.slack.dev/reference/block-kit/blocks
MAX_HEADER, MAX_SECTION, MAX_FIELD, MAX_FIELDS, MAX_BLOCKS, MAX_PLAIN = 150, 3000, 2000, 10, 50, 4000
SIGNS = {"RESOLVED": "🟢", "CRITICAL": "🔴", "WARNING": "🟠", "INFO": "🔵"}

REFUSALS = frozenset({"msg_too_long", "invalid_blocks", "invalid_blocks_format", "no_text", "msg_blocks_too_long"})
SILENCE = (SlackClientError, OSError, HTTPException, ValueError, AttributeError, KeyError, TypeError)
"""What slack_sdk raises for no answer, and for one that is not Slack's."""

GONE_THREADS = frozenset({"thread_not_found", "cannot_reply_to_message", "message_not_found"})


class SlackChannel:
    """A channel of one workspace."""

    def __init__(self, token: SecretStr, channel: str, base_url: str) -> None:
        # No retries of its own: the outbox knows when to come back.
        self._client = WebClient(
            token.get_secret_value(), base_url=base_url, timeout=int(SEND_SECONDS), retry_handlers=[]
        )
        self._channel = channel

    def send(self, message: Message) -> str | None:
        """Post the message; its timestamp is what Slack calls it."""
        try:
            return self._post(message, message.thread)
        except SlackApiError as error:
            if message.thread is None or _reason(error) not in GONE_THREADS:
                raise _failure(error) from error
        except SILENCE as error:
            raise _silent(error) from error
        try:
            return self._post(message, None)  # somebody deleted the thread's first message
        except SILENCE as error:
            raise _failure(error) if isinstance(error, SlackApiError) else _silent(error) from error

    def _post(self, message: Message, thread: str | None) -> str | None:
        answer = self._client.chat_postMessage(
            channel=self._channel,
            text=escaped(shortened(plain(message), MAX_PLAIN)),
            blocks=blocks(message),
            thread_ts=thread,
            # What is over is worth a look for everybody, not only for those who follow the thread.
            reply_broadcast=True if thread and message.resolved else None,
            unfurl_links=False,
            unfurl_media=False,
        )
        stamp = answer.get("ts")
        return str(stamp) if stamp else None


def blocks(message: Message) -> list[dict[str, Any]]:
    """The message in Block Kit."""
    alert = message.single
    if alert is not None:
        return _whole(alert)
    shown = message.alerts[: MAX_BLOCKS - 2]
    more = len(message.alerts) - len(shown)
    found = [_header(f"{SIGNS[message.severity.upper()]} {message.subject}"), *(_line(each) for each in shown)]
    return [*found, _context(f"and {more} more: masker alerts show")] if more else found


def _whole(alert: Alert) -> list[dict[str, Any]]:
    found = [_header(f"{SIGNS[label(alert)]} {alert.title}")]
    if alert.text:
        found.append({"type": "section", "text": _mrkdwn(escaped(alert.text), MAX_SECTION)})
    fields = [_mrkdwn(f"*{escaped(name)}*\n{escaped(value)}", MAX_FIELD) for name, value in facts(alert).items()]
    starts = range(0, len(fields), MAX_FIELDS)
    found.extend({"type": "section", "fields": fields[start : start + MAX_FIELDS]} for start in starts)
    if alert.links:
        links = " · ".join(_link(name, url) for name, url in alert.links.items())
        found.append({"type": "section", "text": _mrkdwn(links, MAX_SECTION)})
    return found


def _line(alert: Alert) -> dict[str, Any]:
    links = "".join(f" · {_link(name, url)}" for name, url in alert.links.items())
    text = f"{SIGNS[label(alert)]} *{escaped(alert.title)}*\n{escaped(shortened(alert.text, 300))}{links}"
    return {"type": "section", "text": _mrkdwn(text, MAX_SECTION)}


def _header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": {"type": "plain_text", "text": shortened(text, MAX_HEADER), "emoji": True}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [_mrkdwn(text, MAX_SECTION)]}


def _mrkdwn(text: str, length: int) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": shortened(text, length)}


def _link(name: str, url: str) -> str:
    # Slack makes links of http(s) only; other URLs are shown.
    if url.startswith(("http://", "https://")):
        return f"<{escaped(url).replace('|', '%7C')}|{escaped(name).replace('|', '/')}>"
    return f"{escaped(name)}: {escaped(url)}"


def escaped(text: str) -> str:
    """`text` with the three characters that Slack reads as markup, so that nobody is mentioned by an alert."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _reason(error: SlackApiError) -> str:
    """Slack's word for the error; a proxy in between may answer anything."""
    data = error.response.data
    return str(data.get("error") or "no reason") if isinstance(data, dict) else "an answer that is not Slack's"


def _failure(error: SlackApiError) -> Exception:
    reason, status = _reason(error), error.response.status_code
    if reason in REFUSALS:
        return MessageRefusedError("Slack refuses the message", got=reason)
    asked = {name.lower(): value for name, value in (error.response.headers or {}).items()}.get("retry-after")
    return ChannelDownError(
        "Slack did not take the message",
        got=f"{reason} (status {status})",
        fix="check MASKER_SLACK_TOKEN, and that the app is in the channel",
        retry_after=float(asked) if asked and str(asked).isdigit() else None,
    )


def _silent(error: Exception) -> ChannelDownError:
    return ChannelDownError("Slack does not answer", got=f"{type(error).__name__}: {str(error)[:200]}")
