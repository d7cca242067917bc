"""E-mail over SMTP, as text and HTML; the alerts of an incident are one conversation."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.utils import formatdate
from functools import cache
from pathlib import Path
from typing import Literal

import jinja2
from pydantic import BaseModel, ConfigDict, SecretStr

from identity_masker.alerts.alert import Alert
from identity_masker.alerts.channels.channel import SEND_SECONDS, ChannelDownError, MessageRefusedError
from identity_masker.alerts.message import Message, facts, label, plain
from identity_masker.telemetry import logs

COLOURS = {"RESOLVED": "#2e7d32", "CRITICAL": "#c62828", "WARNING": "#ef6c00", "INFO": "#1565c0"}
Tls = Literal["starttls", "tls", "none"]
log = logs.logger(__name__)


class Smtp(BaseModel):
    """A mail server and how to speak to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    port: int
    tls: Tls
    user: str = ""
    password: SecretStr | None = None
    sender: str


class EmailChannel:
    """A list of recipients behind one mail server."""

    def __init__(self, smtp: Smtp, to: tuple[str, ...]) -> None:
        self._smtp = smtp
        self._to = to

    def send(self, message: Message) -> str | None:
        """Hand the message to the server; its Message-ID is what it is called."""
        mail = composed(message, self._smtp.sender, self._to)
        try:
            with _connected(self._smtp) as server:
                refused = server.send_message(mail)
        except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
            raise _answered(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPRecipientsRefused as error:
            raise ChannelDownError(
                "the mail server takes none of the recipients", got=_codes(error.recipients)
            ) from error
        except smtplib.SMTPAuthenticationError as error:
            raise ChannelDownError(
                "the mail server does not accept the login", got=error.smtp_code, fix="check MASKER_SMTP_USER"
            ) from error
        except (smtplib.SMTPException, OSError) as error:
            raise ChannelDownError(
                "the mail server does not answer", got=f"{type(error).__name__}: {str(error)[:200]}"
            ) from error
        if refused:
            # The others have it: trying again would send it to them twice.
            _tell_refused(refused)
        return str(mail["Message-ID"])


def composed(message: Message, sender: str, to: tuple[str, ...]) -> EmailMessage:
    """The message as an e-mail. Its Message-ID depends on the message alone, so that a repeated try is recognised."""
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Date"] = formatdate()
    mail["Message-ID"] = f"<{message.id}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: absence notes do not answer it
    if message.severity == "critical" and not message.resolved:
        mail["Importance"] = "high"
    if message.thread:
        mail["In-Reply-To"] = message.thread
        mail["References"] = message.thread
    mail.set_content(plain(message))
    mail.add_alternative(
        _page().render(alerts=message.alerts, label=label, facts=facts, colour=_colour), subtype="html"
    )
    return mail


@cache
def _page() -> jinja2.Template:
    folder = jinja2.FileSystemLoader(Path(__file__).parents[1])
    environment = jinja2.Environment(loader=folder, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("message.html.j2")


def _colour(alert: Alert) -> str:
    return COLOURS[label(alert)]


@contextmanager
def _connected(smtp: Smtp) -> Iterator[smtplib.SMTP]:
    context = ssl.create_default_context()
    if smtp.tls == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=SEND_SECONDS, context=context)
    else:
        server = smtplib.SMTP(smtp.host, smtp.port, timeout=SEND_SECONDS)
    try:
        if smtp.tls == "starttls":
            server.starttls(context=context)
        if smtp.user:
            server.login(smtp.user, smtp.password.get_secret_value() if smtp.password else "")
        yield server
    finally:
        # The message is taken or not by now; how the server says goodbye does not matter.
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
        server.close()


def _answered(code: int, said: bytes | str) -> Exception:
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    got = f"{code} {words[:200]}"
    if code in (552, 554):
        return MessageRefusedError("the mail server refuses the message", got=got)
    return ChannelDownError("the mail server did not take the message", got=got)


def _tell_refused(refused: dict[str, tuple[int, bytes]]) -> None:
    log.warning("recipients_refused", count=len(refused), codes=_codes(refused))


def _codes(refused: dict[str, tuple[int, bytes]]) -> str:
    return ", ".join(sorted({str(code) for code, _ in refused.values()}))
