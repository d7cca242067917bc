"""What goes where and when: routes, bundles, quiet hours, repeats, recoveries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.alerts.desks import NOON, Clock, alert, desk
from tests.unit.alerts.endpoint import Endpoint, endpoint

from identity_masker.alerts.ledger import ledger

HOUR = 3600.0
NIGHT = NOON + 11 * HOUR
QUIET = {"zone": "UTC", "since": "22:00", "until": "07:00"}
GATHERING = [{"name": "all", "channels": ["hook"], "group_seconds": 60}]


@pytest.fixture
def receiver() -> Iterator[Endpoint]:
    with endpoint() as found:
        yield found


def told(receiver: Endpoint) -> list[list[tuple[str, str]]]:
    """State and title of the alerts of each message."""
    return [[(each["state"], each["title"]) for each in body["alerts"]] for body in receiver.documents()]


def test_an_incident_is_told_once_and_again_after_its_repeat_interval(tmp_path: Path, receiver: Endpoint) -> None:
    clock = Clock()
    with desk(tmp_path, receiver.url, clock) as open_desk:
        meanings = []
        for _ in range(11):
            meanings.append(open_desk.notify(alert()).meaning)
            clock.now += 0.5 * HOUR
    assert meanings == ["opened", *["repeat"] * 7, "again", *["repeat"] * 2]
    assert len(told(receiver)) == 2


def test_the_recovery_goes_to_whoever_heard_and_only_once(tmp_path: Path, receiver: Endpoint) -> None:
    with desk(tmp_path, receiver.url, Clock()) as open_desk:
        assert open_desk.notify(alert(state="resolved")).meaning == "nothing_to_end"
        open_desk.notify(alert())
        open_desk.notify(alert(state="resolved", severity="info"))
        assert open_desk.notify(alert(state="resolved")).meaning == "nothing_to_end"
        threads = [body["thread"] for body in receiver.documents()]
        assert told(receiver) == [[("firing", "a title")], [("resolved", "a title")]]
        assert threads == [None, receiver.documents()[0]["id"]]
        open_desk.notify(alert())
    assert receiver.documents()[2]["thread"] is None, "what comes back is a thread of its own"


def test_a_route_may_leave_recoveries_out(tmp_path: Path, receiver: Endpoint) -> None:
    routes = [{"name": "all", "channels": ["hook"], "recovery": False}]
    with desk(tmp_path, receiver.url, Clock(), routes=routes) as open_desk:
        open_desk.notify(alert())
        assert open_desk.notify(alert(state="resolved")).channels == ()
    assert told(receiver) == [[("firing", "a title")]]


def test_an_event_is_told_once_however_often_it_is_sent(tmp_path: Path, receiver: Endpoint) -> None:
    with desk(tmp_path, receiver.url, Clock()) as open_desk:
        for _ in range(3):
            for step in ("5 %", "10 %"):
                open_desk.notify(alert(step, incident="release/r", event=step, state="notice"))
    assert told(receiver) == [[("notice", "5 %")], [("notice", "10 %")]]


def test_alerts_of_a_window_are_one_message(tmp_path: Path, receiver: Endpoint) -> None:
    clock = Clock()
    with desk(tmp_path, receiver.url, clock, routes=GATHERING) as open_desk:
        for title in "abc":
            open_desk.notify(alert(title))
            clock.now += 25.0
        assert told(receiver) == [], "the window is open"
        open_desk.deliver()
        clock.now += 1.0
        open_desk.deliver()
        assert told(receiver) == [[("firing", "a"), ("firing", "b"), ("firing", "c")]]
        open_desk.notify(alert("b", state="resolved"))
        clock.now += 60.0
        open_desk.deliver()
    assert told(receiver)[1:] == [[("resolved", "b")]]
    assert receiver.documents()[1]["thread"] == receiver.documents()[0]["id"]


def test_the_window_is_counted_from_its_first_alert(tmp_path: Path, receiver: Endpoint) -> None:
    clock = Clock()
    with desk(tmp_path, receiver.url, clock, routes=GATHERING) as open_desk:
        for number in range(7):
            open_desk.notify(alert(str(number)))
            clock.now += 10.0
    assert [len(message) for message in told(receiver)] == [7]


def test_an_alert_that_gets_worse_takes_the_gathered_one_along(tmp_path: Path, receiver: Endpoint) -> None:
    routes = [{"name": "bad", "severities": ["critical"], "channels": ["hook"]}, *GATHERING]
    with desk(tmp_path, receiver.url, Clock(), routes=routes) as open_desk:
        open_desk.notify(alert("first", incident="i"))
        open_desk.notify(alert("other"))
        open_desk.notify(alert("worse", incident="i", severity="critical"))
    assert told(receiver) == [[("firing", "first")], [("firing", "worse")]]


def test_quiet_hours_hold_back_all_but_critical_alerts_and_end_with_a_digest(
    tmp_path: Path, receiver: Endpoint
) -> None:
    clock = Clock(NIGHT)
    with desk(tmp_path, receiver.url, clock, quiet_hours=QUIET) as open_desk:
        open_desk.notify(alert("a"))
        open_desk.notify(alert("fire", severity="critical"))
        clock.now += HOUR
        open_desk.notify(alert("a", state="resolved"))
        open_desk.notify(alert("b"))
        assert told(receiver) == [[("firing", "fire")]]
        clock.now = NIGHT + 8 * HOUR - 1.0
        open_desk.notify(alert("fire", state="resolved"))
        assert told(receiver)[1:] == [[("resolved", "fire")]], "the end of what was critical is told at once"
        clock.now = NIGHT + 8 * HOUR
        open_desk.deliver()
    assert told(receiver)[2:] == [[("firing", "a"), ("resolved", "a"), ("firing", "b")]]


def test_without_a_channel_the_log_gets_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    routes = [{"name": "all", "channels": ["chat"]}]
    channels = {"chat": {"kind": "slack", "channel": "#none"}}
    with desk(tmp_path, "http://-/", Clock(NIGHT), routes=routes, channels=channels, quiet_hours=QUIET) as open_desk:
        found = open_desk.notify(alert("said to nobody"))
        assert (found.channels, found.delivered.sent) == (("log",), {"log": 1})


def test_the_ledger_shows_incidents_and_what_did_not_arrive(tmp_path: Path, receiver: Endpoint) -> None:
    receiver.answers = [(503, {}, b"")]
    with desk(tmp_path, receiver.url, Clock()) as open_desk:
        open_desk.notify(alert("b"))
        open_desk.notify(alert("b"))
        found = ledger(open_desk.outbox, 10)
        assert [(each.key, each.state, each.occurrences) for each in found.incidents] == [("drift/b", "firing", 2)]
        assert [(each.title, each.state, each.attempts) for each in found.deliveries] == [("b", "waiting", 1)]
        assert "503" in found.failing[0].error
        assert found.counts == {"waiting": 1, "sent": 0}
