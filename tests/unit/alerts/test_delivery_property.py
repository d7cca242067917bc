"""Whatever happens to channels and senders, each alert is sent once, in order, and in the thread of its incident."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.alerts.desks import Clock, alert, config

from identity_masker.alerts.channels.channel import ChannelDownError
from identity_masker.alerts.channels.log import LogChannel
from identity_masker.alerts.desk import Desk
from identity_masker.alerts.message import Message

ROUTES = [
    {"name": "bad", "severities": ["critical"], "channels": ["hook"], "repeat_hours": 1},
    {"name": "rest", "channels": ["hook"], "group_seconds": 60, "repeat_hours": 1},
]
QUIET = {"zone": "UTC", "since": "22:00", "until": "07:00"}
KEYS = st.sampled_from("abc")
ACTS = st.one_of(
    st.tuples(
        st.sampled_from(["firing", "resolved", "notice"]), KEYS, st.sampled_from(["info", "warning", "critical"])
    ),
    st.tuples(st.just("pass"), st.sampled_from([1.0, 70.0, 4000.0, 40_000.0]), st.none()),
    st.tuples(st.sampled_from(["down", "up", "die"]), st.none(), st.none()),
)


class Moody:
    """A channel that is up or down, and remembers."""

    def __init__(self) -> None:
        self.up = True
        self.messages: list[Message] = []

    def send(self, message: Message) -> str:
        if not self.up:
            raise ChannelDownError("down")
        self.messages.append(message)
        return f"thread {len(self.messages)}"


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTS, max_size=25))
def test_each_alert_is_sent_once_in_order_in_its_thread(acts: list[tuple[str, str | float | None, str | None]]) -> None:
    clock, channel, wanted = Clock(), Moody(), list[str]()
    with tempfile.TemporaryDirectory() as folder:

        def opened() -> Desk:
            there = {"log": LogChannel(), "hook": channel}
            return Desk(config(routes=ROUTES, quiet_hours=QUIET), there, f"sqlite:///{Path(folder)}/c.db", clock)

        open_desk = opened()
        for number, (act, what, severity) in enumerate(acts):
            if act == "pass":
                clock.now += float(what or 0.0)
                open_desk.deliver()
            elif act in ("down", "up"):
                channel.up = act == "up"
            elif act == "die":
                open_desk.outbox.close()
                open_desk = opened()
            else:
                fields = {"incident": str(what), "state": act, "severity": severity}
                if open_desk.notify(alert(f"{what} {number}", **fields)).channels:
                    wanted.append(f"{what} {number}")
        channel.up = True
        while open_desk.deliver().waiting:
            clock.now += 300.0
        open_desk.outbox.close()
    sent = [each for message in channel.messages for each in message.alerts]
    assert sorted(each.title for each in sent) == sorted(wanted)
    for key in "abc":
        assert [e.title for e in sent if e.incident == key] == [title for title in wanted if title.startswith(key)]
    _check_threads(channel.messages)


def _check_threads(messages: list[Message]) -> None:
    """A message of one alert answers the message in which its incident was first told of, in this episode."""
    begun: dict[str, str] = {}
    for number, message in enumerate(messages, start=1):
        if message.single is not None:
            assert message.thread == begun.get(message.single.incident)
        for each in message.alerts:
            if each.state == "resolved":
                begun.pop(each.incident, None)
            else:
                begun.setdefault(each.incident, f"thread {number}")
