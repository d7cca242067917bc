from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.unit.alerts.desks import Clock, alert, desk
from tests.unit.alerts.endpoint import SlackApi, slack_api

from identity_masker.alerts.channels.channel import ChannelDownError, MessageRefusedError
from identity_masker.alerts.channels.slack import MAX_BLOCKS, SlackChannel, blocks
from identity_masker.alerts.message import Message

ONE = Message(id="chat-1", alerts=(alert("p95 > 1 s & rising <!channel>", links={"run": "http://h/r?a=1&b=2"}),))
CHAT = {"channels": {"chat": {"kind": "slack", "channel": "#ops"}}, "routes": [{"name": "all", "channels": ["chat"]}]}


@pytest.fixture
def slack() -> Iterator[SlackApi]:
    with slack_api() as found:
        yield found


def channel(slack: SlackApi) -> SlackChannel:
    return SlackChannel(SecretStr("xoxb-planted"), "#ops", slack.url)


def test_an_incident_is_one_thread_with_its_recovery_shown_to_all(tmp_path: Path, slack: SlackApi) -> None:
    clock = Clock()
    with desk(tmp_path, "http://-/", clock, others={"chat": channel(slack)}, **CHAT) as open_desk:
        open_desk.notify(alert())
        clock.now += 5 * 3600.0
        open_desk.notify(alert())
        open_desk.notify(alert(state="resolved"))
        open_desk.notify(alert())
    first, again, over, new = slack.posts
    assert [post.get("thread_ts") for post in (first, again, over, new)] == [
        None, "1700000000.000001", "1700000000.000001", None,
    ]  # fmt: skip
    assert str(over.get("reply_broadcast")).lower() in ("true", "1")
    assert "reply_broadcast" not in again
    assert first["channel"] == "#ops"
    assert slack.requests[0].headers["authorization"] == "Bearer xoxb-planted"


def test_nothing_in_an_alert_is_markup(slack: SlackApi) -> None:
    channel(slack).send(ONE)
    shown = str(slack.posts[0]["blocks"][1:]) + slack.posts[0]["text"]
    assert "<!channel>" not in shown
    assert "<http://h/r?a=1&amp;b=2|run>" in shown


def test_a_thread_whose_first_message_was_deleted_is_begun_anew(slack: SlackApi) -> None:
    slack.answers = [(200, {}, b"")]
    original = slack.answer

    def gone(got: Any) -> tuple[int, dict[str, str], bytes]:
        slack.error = "thread_not_found" if b"thread_ts" in got.body else ""
        return original(got)

    slack.answer = gone  # type: ignore[method-assign]
    channel(slack).send(ONE.model_copy(update={"thread": "1.2"}))
    assert [post.get("thread_ts") for post in slack.posts] == [None]


@pytest.mark.parametrize("error", ["invalid_auth", "channel_not_found", "not_in_channel", "fatal_error"])
def test_an_error_that_somebody_can_mend_is_tried_again(slack: SlackApi, error: str) -> None:
    slack.error = error
    with pytest.raises(ChannelDownError, match=error) as caught:
        channel(slack).send(ONE)
    assert "planted" not in str(caught.value)


def test_a_message_that_slack_does_not_take_is_refused(slack: SlackApi) -> None:
    slack.error = "invalid_blocks"
    with pytest.raises(MessageRefusedError, match="invalid_blocks"):
        channel(slack).send(ONE)


def test_the_rate_limit_is_honoured(slack: SlackApi) -> None:
    slack.always = (429, {"Retry-After": "30"}, b'{"ok": false, "error": "ratelimited"}')
    with pytest.raises(ChannelDownError, match="ratelimited") as caught:
        channel(slack).send(ONE)
    assert caught.value.retry_after == 30.0
    assert len(slack.requests) == 1


@pytest.mark.parametrize("status", [200, 502])
@pytest.mark.parametrize("body", [b"<html>", b"", b"[1]", b"null"])
def test_an_answer_that_is_not_slacks_is_a_channel_that_is_down(slack: SlackApi, status: int, body: bytes) -> None:
    slack.answer = lambda _got: (status, {}, body)  # type: ignore[method-assign]
    with pytest.raises(ChannelDownError):
        channel(slack).send(ONE)


def test_a_workspace_that_does_not_answer_is_down() -> None:
    with pytest.raises(ChannelDownError, match="does not answer"):
        SlackChannel(SecretStr("x"), "#ops", "http://127.0.0.1:9/").send(ONE)


@given(
    st.integers(1, 60),
    st.text(max_size=5000),
    st.dictionaries(st.text(max_size=400), st.text(max_size=400), max_size=30),
)
def test_any_message_keeps_within_the_limits_of_block_kit(count: int, text: str, facts: dict[str, str]) -> None:
    whole = alert("a title", text=text, facts=facts, links={str(n): "http://h/" + "x" * 90 for n in range(10)})
    found = blocks(Message(id="1", alerts=(whole,) * count))
    assert len(found) <= MAX_BLOCKS
    for block in found:
        assert len(block.get("text", {}).get("text", "x")) in range(1, 3001)
        assert len(block.get("fields", [])) <= 10
        assert all(0 < len(field["text"]) <= 2000 for field in block.get("fields", []))
    assert len(found[0]["text"]["text"]) <= 150
