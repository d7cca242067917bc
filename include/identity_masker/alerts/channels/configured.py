"""The channels that are there: those of the configuration for which the settings have what they need."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from identity_masker.alerts.channels.channel import Channel
from identity_masker.alerts.channels.log import LogChannel
from identity_masker.alerts.config import LOG, AlertsConfig, EmailTarget, SlackTarget, Target, address
from identity_masker.errors import BadInputError
from identity_masker.settings import Settings


def channels(config: AlertsConfig, settings: Settings) -> dict[str, Channel]:
    """Name → channel, with the log. A target without its secret or address is not there.

    Raises `BadInputError` for an address that cannot be one, naming its variable.
    """
    found: dict[str, Channel] = {LOG: LogChannel()}
    for name, target in config.channels.items():
        channel = _channel(target, settings)
        if channel is not None:
            found[name] = channel
    return found


def missing(config: AlertsConfig, there: Mapping[str, Channel]) -> dict[str, str]:
    """Target that is not there → the variables that would bring it."""
    needs = {
        "slack": "MASKER_SLACK_TOKEN",
        "email": "MASKER_SMTP_HOST, MASKER_SMTP_FROM, MASKER_SMTP_TO",
        "webhook": "MASKER_WEBHOOK_URL, MASKER_WEBHOOK_SECRET",
    }
    return {name: needs[target.kind] for name, target in config.channels.items() if name not in there}


def _channel(target: Target, settings: Settings) -> Channel | None:
    if isinstance(target, SlackTarget):
        return _slack(target, settings)
    if isinstance(target, EmailTarget):
        return _email(target, settings)
    return _webhook(settings)


def _slack(target: SlackTarget, settings: Settings) -> Channel | None:
    if settings.slack_token is None:
        return None
    from identity_masker.alerts.channels.slack import SlackChannel

    return SlackChannel(settings.slack_token, target.channel, _http_url(settings.slack_url, "MASKER_SLACK_URL"))


def _email(target: EmailTarget, settings: Settings) -> Channel | None:
    to = target.to or tuple(_address(each, "MASKER_SMTP_TO") for each in settings.smtp_to.split(",") if each.strip())
    if not (settings.smtp_host and settings.smtp_from and to):
        return None
    from identity_masker.alerts.channels.mail import EmailChannel, Smtp

    smtp = Smtp(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        user=settings.smtp_user,
        password=settings.smtp_password,
        sender=_address(settings.smtp_from, "MASKER_SMTP_FROM"),
    )
    return EmailChannel(smtp, to)


def _webhook(settings: Settings) -> Channel | None:
    if settings.webhook_url is None or settings.webhook_secret is None:
        return None
    from identity_masker.alerts.channels.webhook import WebhookChannel

    _http_url(settings.webhook_url.get_secret_value(), "MASKER_WEBHOOK_URL")
    return WebhookChannel(settings.webhook_url, settings.webhook_secret)


def _http_url(url: str, variable: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInputError(f"{variable} is not a URL", allowed="http://HOST/… or https://HOST/…")
    return url


def _address(text: str, variable: str) -> str:
    try:
        return address(text)
    except ValueError as error:
        raise BadInputError(f"{variable} is not an e-mail address", got=text, allowed="team@example.org") from error
