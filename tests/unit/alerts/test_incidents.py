from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.alerts.desks import alert

from identity_masker.alerts.alert import rank
from identity_masker.alerts.incidents import NEWS, THREAD_SECONDS, Incident, told, turned

REPEAT = 3600.0
ALERTS = st.tuples(
    st.sampled_from(["firing", "resolved", "notice"]),
    st.sampled_from(["info", "warning", "critical"]),
    st.floats(0.0, 20_000.0),
)


def test_a_repeat_is_told_once_an_interval() -> None:
    incident, meanings = None, []
    for minute in range(0, 150, 10):
        incident, meaning = turned(incident, alert(), minute * 60.0, REPEAT)
        meanings.append(meaning)
    assert [at * 10 for at, meaning in enumerate(meanings) if meaning != "repeat"] == [0, 60, 120]
    assert incident is not None
    assert incident.occurrences == 15


def test_worse_is_told_at_once_and_better_is_a_repeat() -> None:
    incident = turned(None, alert(), 0.0, REPEAT).incident
    incident, meaning = turned(incident, alert(severity="critical"), 1.0, REPEAT)
    assert meaning == "escalated"
    incident, meaning = turned(incident, alert(severity="info"), 2.0, REPEAT)
    assert (meaning, incident.severity if incident else "") == ("repeat", "critical")


def test_what_comes_back_is_a_new_episode() -> None:
    first = turned(None, alert(), 0.0, REPEAT).incident
    over, meaning = turned(first, alert(state="resolved"), 1.0, REPEAT)
    assert (meaning, over.state if over else "") == ("ended", "resolved")
    assert turned(over, alert(state="resolved"), 2.0, REPEAT).meaning == "nothing_to_end"
    again, meaning = turned(over, alert(), 3.0, REPEAT)
    assert (meaning, again.episode if again else 0) == ("opened", 2)


def test_a_failure_after_a_notice_is_news_in_the_same_thread() -> None:
    noticed = turned(None, alert(state="notice"), 0.0, REPEAT).incident
    fires, meaning = turned(noticed, alert(), 1.0, REPEAT)
    assert (meaning, fires.state if fires else "", fires.episode if fires else 0) == ("escalated", "firing", 1)


def test_notices_far_apart_are_two_threads() -> None:
    first = turned(None, alert(state="notice"), 0.0, REPEAT).incident
    later = turned(first, alert(state="notice"), THREAD_SECONDS + 1.0, REPEAT).incident
    assert later is not None
    assert later.episode == 2


def test_a_repeat_says_how_often_and_an_end_how_long() -> None:
    incident, seen = None, []
    for hours in (0, 0.5, 1, 2.1):
        incident, meaning = turned(incident, alert(), hours * 3600.0, REPEAT)
        assert incident is not None
        seen.append(told(alert(facts={"n": 1}), incident, meaning).facts)
    assert seen == [{"n": 1}, {"n": 1}, {"n": 1, "seen": "3 times"}, {"n": 1, "seen": "4 times"}]
    for hours, said in ((0.02, "1 min"), (2.1, "2 h 6 min"), (60, "2.5 days")):
        over, meaning = turned(incident, alert(state="resolved"), hours * 3600.0, REPEAT)
        assert over is not None
        assert told(alert(), over, meaning).facts == {"lasted": said}


@given(st.lists(ALERTS, max_size=30))
def test_after_any_alerts_an_end_is_told_exactly_once_for_each_thing_that_fired(
    given_alerts: list[tuple[str, str, float]],
) -> None:
    incident: Incident | None = None
    now, fires = 0.0, False
    for state, severity, pause in given_alerts:
        now += pause
        before = incident
        incident, meaning = turned(before, alert(state=state, severity=severity), now, REPEAT)
        assert (meaning == "ended") == (state == "resolved" and fires)
        fires = state == "firing" or (fires and state == "notice")
        if incident is not None:
            assert (incident.state == "firing") == fires
            assert incident.told_at <= incident.last_at <= now
            same = before is not None and before.episode == incident.episode and before.state != "resolved"
            if same and before is not None:
                assert rank(incident.severity) >= rank(before.severity)
            if meaning in NEWS:
                assert incident.told_at == now
