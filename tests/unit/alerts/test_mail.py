from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.unit.alerts.desks import Clock, alert, desk
from tests.unit.alerts.mail_server import PASSWORD, USER, mail_server, self_signed

from identity_masker.alerts.channels.channel import ChannelDownError, MessageRefusedError
from identity_masker.alerts.channels.mail import EmailChannel, Smtp, Tls
from identity_masker.alerts.message import Message

TO = ("team@example.org", "duty@example.org")
ONE = Message(id="mail-1-abc", alerts=(alert("größer <b>", text="a & b", links={"run": "http://h/r?a=1&b=2"}),))


def channel(port: int, tls: Tls = "none", user: str = "", password: str = "") -> EmailChannel:
    smtp = Smtp(
        host="127.0.0.1", port=port, tls=tls, user=user, password=SecretStr(password), sender="masker@example.org"
    )
    return EmailChannel(smtp, TO)


def test_an_alert_is_an_e_mail_in_text_and_html() -> None:
    with mail_server() as (port, box):
        assert channel(port).send(ONE) == "<mail-1-abc@example.org>"
    (mail,) = box.mails
    assert (mail["From"], mail["To"]) == ("masker@example.org", "team@example.org, duty@example.org")
    assert mail["Subject"] == "[WARNING] größer <b>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert box.recipients == [list(TO)]
    text, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))  # type: ignore[union-attr]
    assert "größer <b>" in text
    assert "run: http://h/r?a=1&b=2" in text
    assert "größer &lt;b&gt;" in html
    assert "a &amp; b" in html
    assert "<b>" not in html


def test_the_mails_of_an_incident_are_one_conversation(tmp_path: Path) -> None:
    fields = {"channels": {"mail": {"kind": "email"}}, "routes": [{"name": "all", "channels": ["mail"]}]}
    with (
        mail_server() as (port, box),
        desk(tmp_path, "http://-/", Clock(), others={"mail": channel(port)}, **fields) as open_desk,
    ):
        open_desk.notify(alert(severity="critical"))
        open_desk.notify(alert(state="resolved"))
    first, over = box.mails
    assert over["In-Reply-To"] == over["References"] == first["Message-ID"]
    assert first["Message-ID"] != over["Message-ID"]
    assert over["Subject"] == "[RESOLVED] a title"
    assert (first["Importance"], over["Importance"]) == ("high", None)


def test_starttls_and_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path)
    with mail_server(certificate=certificate) as (port, box):
        with pytest.raises(ChannelDownError, match="CERTIFICATE_VERIFY_FAILED"):
            channel(port, "starttls", USER, PASSWORD).send(ONE)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with pytest.raises(ChannelDownError, match="login"):
            channel(port, "starttls", USER, "another").send(ONE)
        with pytest.raises(ChannelDownError):
            channel(port, "none", USER, PASSWORD).send(ONE)
        channel(port, "starttls", USER, PASSWORD).send(ONE)
    assert len(box.mails) == 1


@pytest.mark.parametrize("answer", ["451 later", "421 closing", "550 policy"])
def test_an_answer_that_may_change_is_tried_again(answer: str) -> None:
    with mail_server() as (port, box):
        box.answer = answer
        with pytest.raises(ChannelDownError, match=answer[:3]):
            channel(port).send(ONE)


def test_a_message_that_the_server_does_not_take_is_refused() -> None:
    with mail_server() as (port, box):
        box.answer = "554 not this one"
        with pytest.raises(MessageRefusedError, match="554 not this one"):
            channel(port).send(ONE)


def test_one_recipient_that_is_refused_does_not_keep_it_from_the_others() -> None:
    with mail_server() as (port, box):
        box.refused = {TO[0]}
        channel(port).send(ONE)
        assert box.recipients == [[TO[1]]]
        box.refused = set(TO)
        with pytest.raises(ChannelDownError, match="550"):
            channel(port).send(ONE)


def test_a_server_that_does_not_answer_is_down() -> None:
    with pytest.raises(ChannelDownError, match="does not answer"):
        channel(9).send(ONE)
