"""Channels that fail, senders that die, and several senders at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.unit.alerts.desks import NOON, Clock, alert, desk
from tests.unit.alerts.endpoint import Endpoint, endpoint

from identity_masker.alerts.delivery import LEASE_SECONDS
from identity_masker.alerts.ledger import ledger
from identity_masker.alerts.queue import Queue
from identity_masker.errors import TemporaryError
from identity_masker.settings import PROJECT


@pytest.fixture
def receiver() -> Iterator[Endpoint]:
    with endpoint() as found:
        yield found


def titles(receiver: Endpoint) -> list[str]:
    return [each["title"] for body in receiver.documents() for each in body["alerts"]]


def test_a_channel_that_asks_for_time_gets_it(tmp_path: Path, receiver: Endpoint) -> None:
    receiver.answers = [(429, {"retry-after": "120"}, b"")]
    clock = Clock()
    with desk(tmp_path, receiver.url, clock) as open_desk:
        failed = open_desk.notify(alert()).delivered
        assert "429" in failed.failed["hook"]
        for _ in range(11):
            clock.now += 10.0
            open_desk.deliver()
        assert len(receiver.requests) == 1
        clock.now += 10.0
        assert open_desk.deliver().sent == {"hook": 1}


def test_a_message_that_is_refused_does_not_hold_up_the_others(tmp_path: Path, receiver: Endpoint) -> None:
    receiver.answers = [(422, {}, b"")]
    with desk(tmp_path, receiver.url, Clock()) as open_desk:
        assert open_desk.notify(alert("bad")).delivered.refused == {"hook": 1}
        assert open_desk.notify(alert("good")).delivered.sent == {"hook": 1}
        assert [each.state for each in ledger(open_desk.outbox, 9).deliveries] == ["refused"]
    assert titles(receiver) == ["good"]


def test_what_no_channel_takes_for_days_ends_in_the_log(tmp_path: Path, receiver: Endpoint) -> None:
    receiver.always = (500, {}, b"")
    clock = Clock()
    with desk(tmp_path, receiver.url, clock) as open_desk:
        open_desk.notify(alert())
        clock.now += 71 * 3600.0
        assert open_desk.deliver().given_up == 0
        clock.now += 2 * 3600.0
        found = open_desk.deliver()
    assert (found.given_up, found.waiting) == (1, 0)


def test_an_alert_for_a_channel_that_was_removed_ends_in_the_log(tmp_path: Path, receiver: Endpoint) -> None:
    receiver.always = (500, {}, b"")
    clock = Clock()
    with desk(tmp_path, receiver.url, clock) as open_desk:
        open_desk.notify(alert())
    clock.now += 80 * 3600.0
    routes = [{"name": "all", "channels": ["log"]}]
    with desk(tmp_path, receiver.url, clock, routes=routes, channels={}) as open_desk:
        del open_desk.channels["hook"]  # type: ignore[attr-defined]
        assert open_desk.deliver().given_up == 1


def test_several_senders_at_once_send_each_alert_once_and_in_order(tmp_path: Path, receiver: Endpoint) -> None:
    count, clock = 40, Clock()
    with desk(tmp_path, receiver.url, clock) as writer:
        for number in range(count):
            writer.take(alert(f"{number:02d}"))

    def deliver(_: int) -> int:
        with desk(tmp_path, receiver.url, clock) as sender:
            return sender.deliver().sent.get("hook", 0)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(deliver, range(4))) == count
    assert titles(receiver) == [f"{number:02d}" for number in range(count)]


def test_what_is_written_while_another_sends_is_not_forgotten(tmp_path: Path, receiver: Endpoint) -> None:
    clock = Clock()
    with (
        desk(tmp_path, receiver.url, clock) as first,
        desk(tmp_path, receiver.url, clock) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        receiver.gate.clear()
        sending = pool.submit(first.notify, alert("one"))
        while not receiver.requests:
            pass
        assert second.notify(alert("two")).delivered.sent == {}, "the channel is taken"
        receiver.gate.set()
        assert sending.result(60).delivered.sent == {"hook": 2}
    assert titles(receiver) == ["one", "two"]


def test_a_sender_that_has_to_end_records_what_it_sends_and_leaves_the_rest(tmp_path: Path, receiver: Endpoint) -> None:
    with desk(tmp_path, receiver.url, Clock()) as first, ThreadPoolExecutor(1) as pool:
        for title in ("one", "two"):
            first.take(alert(title))
        receiver.gate.clear()
        sending = pool.submit(first.deliver)
        while not receiver.requests:
            pass
        first.stop()
        receiver.gate.set()
        assert sending.result(60).sent == {"hook": 1}
    with desk(tmp_path, receiver.url, Clock()) as second:
        assert second.deliver().sent == {"hook": 1}
    assert titles(receiver) == ["one", "two"]


def test_an_alert_that_is_written_down_is_no_failure_when_it_cannot_be_sent_now(
    tmp_path: Path, receiver: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise TemporaryError("the control database cannot be used")

    with desk(tmp_path, receiver.url, Clock()) as open_desk:
        with monkeypatch.context() as patch:
            patch.setattr(open_desk, "deliver", gone)
            assert open_desk.notify(alert()).delivered.waiting == 1
        assert open_desk.deliver().sent == {"hook": 1}


def test_a_sender_that_lost_its_lease_records_nothing(tmp_path: Path, receiver: Endpoint) -> None:
    with desk(tmp_path, receiver.url, Clock()) as open_desk:
        open_desk.take(alert())
        slow, other = (Queue(open_desk.outbox, "hook", name, 60.0) for name in ("slow", "other"))
        assert slow.claim(NOON)
        assert not other.claim(NOON + 59.0)
        items = slow.next(NOON)
        assert other.claim(NOON + 60.0)
        assert not slow.sent(items, "reference", NOON + 61.0)
        assert not slow.failed(items, "too late", NOON + 1e6)
        assert [item.delivery for item in other.next(NOON + 61.0)] == [item.delivery for item in items]


KILLED = """
import os, signal, sys
from tests.unit.alerts.desks import Clock, alert, desk
with desk(sys.argv[1], sys.argv[2], Clock()) as open_desk:
    open_desk.take(alert("written"))
    if sys.argv[3] == "written":
        os.kill(os.getpid(), signal.SIGKILL)
    open_desk.deliver()
"""


def killed(folder: Path, receiver: Endpoint, when: str) -> None:
    """A sender that is killed once it has written an alert, or while the receiver does not answer."""
    command = [sys.executable, "-c", KILLED, f"sqlite:///{folder}/control.db", receiver.url, when]
    with subprocess.Popen(command, cwd=PROJECT) as process:
        if when == "sending":
            while not receiver.requests and process.poll() is None:
                pass
            process.send_signal(signal.SIGKILL)
        assert process.wait(120) == -signal.SIGKILL


def test_an_alert_outlives_the_process_that_wrote_it(tmp_path: Path, receiver: Endpoint) -> None:
    killed(tmp_path, receiver, "written")
    assert receiver.requests == []
    with desk(tmp_path, receiver.url, Clock()) as open_desk:
        assert open_desk.deliver().sent == {"hook": 1}
    assert titles(receiver) == ["written"]


def test_an_alert_outlives_a_sender_that_is_killed_while_it_sends(tmp_path: Path, receiver: Endpoint) -> None:
    receiver.gate.clear()
    killed(tmp_path, receiver, "sending")
    receiver.answers = [(503, {}, b"")]  # what the dead sender does not hear any more
    receiver.gate.set()
    clock = Clock()
    with desk(tmp_path, receiver.url, clock) as open_desk:
        assert open_desk.deliver().sent == {}, "its lease is still running"
        clock.now += LEASE_SECONDS
        while receiver.answers:
            pass
        assert open_desk.deliver().sent == {"hook": 1}
    assert titles(receiver) == ["written"]
