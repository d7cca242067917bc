from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.unit.alerts.desks import SECRET, alert
from tests.unit.alerts.endpoint import endpoint

from identity_masker.alerts.channels.channel import ChannelDownError, MessageRefusedError
from identity_masker.alerts.channels.signature import sign, verified
from identity_masker.alerts.channels.webhook import WebhookChannel, retry_after
from identity_masker.alerts.message import Message

MESSAGE = Message(id="hook-1", alerts=(alert("größer"),))


def test_the_body_is_signed_with_its_time() -> None:
    with endpoint() as receiver:
        assert WebhookChannel(SecretStr(receiver.url), SECRET, lambda: 1_700_000_000.9).send(MESSAGE) == "hook-1"
        (got,) = receiver.accepted
    stamp, signature = got.headers["x-masker-timestamp"], got.headers["x-masker-signature"]
    key = SECRET.get_secret_value().encode()
    assert signature == "v1=" + hmac.new(key, stamp.encode() + b"." + got.body, hashlib.sha256).hexdigest()
    assert (stamp, got.headers["x-masker-delivery"]) == ("1700000000", "hook-1")
    assert json.loads(got.body)["alerts"][0]["title"] == "größer"
    assert verified(SECRET, stamp, got.body, signature, now=1_700_000_100.0)
    assert not verified(SECRET, stamp, got.body, signature, now=1_700_000_301.0)
    assert not verified(SECRET, stamp, got.body + b" ", signature, now=1_700_000_000.0)


@given(st.binary(max_size=50), st.text(max_size=20), st.text(max_size=80))
def test_nothing_but_a_signature_is_taken_for_one(body: bytes, stamp: str, given_signature: str) -> None:
    assert not verified(SECRET, stamp, body, given_signature, now=0.0)
    assert verified(SECRET, "100", body, sign(SECRET, 100, body), now=0.0)


@pytest.mark.parametrize("stamp", ["", "-1", "٣", "²", "9" * 400, "9" * 5000])
def test_a_time_that_is_none_has_no_signature(stamp: str) -> None:
    assert not verified(SECRET, stamp, b"", "v1=", now=0.0)


@pytest.mark.parametrize("status", [301, 401, 404, 429, 500, 503])
def test_an_answer_that_may_change_is_tried_again(status: int) -> None:
    with endpoint() as receiver:
        receiver.always = (status, {"retry-after": "7"}, b"")
        with pytest.raises(ChannelDownError, match=str(status)) as caught:
            WebhookChannel(SecretStr(receiver.url), SECRET).send(MESSAGE)
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_answer_that_stays_is_a_refusal(status: int) -> None:
    with endpoint() as receiver:
        receiver.always = (status, {}, b"")
        with pytest.raises(MessageRefusedError, match=str(status)):
            WebhookChannel(SecretStr(receiver.url), SECRET).send(MESSAGE)


def test_an_error_does_not_tell_the_url() -> None:
    with pytest.raises(ChannelDownError) as caught:
        WebhookChannel(SecretStr("http://127.0.0.1:9/planted"), SECRET).send(MESSAGE)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("30", 30.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, now=100.0) == seconds


@given(st.text(max_size=60))
def test_any_header_is_a_wait_or_nothing(header: str) -> None:
    found = retry_after(header, now=100.0)
    assert found is None or found >= 0.0
