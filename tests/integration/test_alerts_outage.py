"""Alerts on both backends of the control database: channels that are down for ten minutes, and many senders."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, make_url
from tests.integration.postgres import binary, postgres
from tests.integration.test_serving_control import wait_for_server
from tests.unit.alerts.desks import Clock, alert, desk
from tests.unit.alerts.endpoint import endpoint, slack_api
from tests.unit.alerts.mail_server import mail_server

from identity_masker.alerts import tables
from identity_masker.alerts.channels.channel import Channel
from identity_masker.alerts.channels.mail import EmailChannel, Smtp
from identity_masker.alerts.channels.slack import SlackChannel
from identity_masker.alerts.desk import Desk

COUNT = 12
FIELDS: dict[str, Any] = {
    "channels": {
        "hook": {"kind": "webhook"},
        "chat": {"kind": "slack", "channel": "#ops"},
        "mail": {"kind": "email", "to": ["team@example.org"]},
    },
    "routes": [{"name": "all", "channels": ["hook", "chat", "mail"]}],
}


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    if binary("postgres") is None:
        pytest.skip("no PostgreSQL on this machine")
    with postgres() as url:
        wait_for_server(url)
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/control.db"
    found: str = request.getfixturevalue("postgres_url")
    engine = create_engine(make_url(found).set(drivername="postgresql+psycopg"))
    tables.metadata.drop_all(engine)
    engine.dispose()
    return found


@pytest.fixture
def ports() -> tuple[int, int, int]:
    """Three ports on which nobody listens yet."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    hook, chat, mail = (probe.getsockname()[1] for probe in probes)
    for probe in probes:
        probe.close()
    return hook, chat, mail


def opened(database: str, ports: tuple[int, int, int], clock: Clock) -> Desk:
    hook, chat, mail = ports
    smtp = Smtp(host="127.0.0.1", port=mail, tls="none", sender="masker@example.org")
    others: dict[str, Channel] = {
        "chat": SlackChannel(SecretStr("xoxb-1"), "#ops", f"http://127.0.0.1:{chat}/"),
        "mail": EmailChannel(smtp, ("team@example.org",)),
    }
    return desk(database, f"http://127.0.0.1:{hook}/", clock, others=others, **FIELDS)


def test_nothing_is_lost_doubled_or_out_of_order_when_all_channels_are_down_for_ten_minutes(
    database: str, ports: tuple[int, int, int]
) -> None:
    clock, wanted = Clock(), [f"[WARNING] alert {number:02d}" for number in range(COUNT)] + ["[RESOLVED] alert 00"]
    for minute in range(COUNT):
        with opened(database, ports, clock) as open_desk:
            if minute < COUNT - 2:
                assert set(open_desk.notify(alert(f"alert {minute:02d}")).channels) == {"hook", "chat", "mail"}
            clock.now += 60.0
            assert open_desk.deliver().sent == {}
    with ExitStack() as stack:
        hook = stack.enter_context(endpoint(ports[0]))
        slack = stack.enter_context(slack_api(ports[1]))
        _, box = stack.enter_context(mail_server(ports[2]))
        open_desk = stack.enter_context(opened(database, ports, clock))
        for number in range(COUNT - 2, COUNT):
            open_desk.notify(alert(f"alert {number:02d}"))
        open_desk.notify(alert("alert 00", state="resolved"))
        minutes = 0
        while open_desk.deliver().waiting:
            clock.now += 60.0
            minutes += 1
            assert minutes <= 6, "five minutes are the longest wait"
    assert [body["subject"] for body in hook.documents()] == wanted
    assert [mail["Subject"] for mail in box.mails] == wanted
    assert [re.sub(r"\n(.|\n)*", "", post["text"]) for post in slack.posts] == wanted
    assert slack.posts[-1]["thread_ts"] == "1700000000.000001", "the recovery is in the thread of its alert"
    assert box.mails[-1]["In-Reply-To"] == box.mails[0]["Message-ID"]


def test_of_many_senders_and_writers_each_alert_is_sent_once(database: str, ports: tuple[int, int, int]) -> None:
    clock = Clock()

    def work(writer: int) -> None:
        with opened(database, ports, clock) as open_desk:
            for number in range(6):
                open_desk.notify(alert(f"{writer}/{number}"))
                open_desk.notify(alert("the same", incident="i", event=str(number), state="notice"))

    with endpoint(ports[0]) as hook, slack_api(ports[1]) as slack, mail_server(ports[2]) as (_, box):
        with opened(database, ports, clock), ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        with opened(database, ports, clock) as open_desk:
            assert open_desk.deliver().waiting == 0
        wanted = sorted([f"[WARNING] {w}/{n}" for w in range(4) for n in range(6)] + ["[WARNING] the same"] * 6)
        assert sorted(body["subject"] for body in hook.documents()) == wanted
        assert sorted(mail["Subject"] for mail in box.mails) == wanted
        assert len(slack.posts) == len(wanted)
