from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.alerts.desks import alert

from identity_masker.alerts.alert import MAX_TEXT, MAX_TITLE, parsed
from identity_masker.alerts.scrub import scrubbed, scrubbed_key
from identity_masker.errors import BadInputError

SECRETS = [
    "postgresql://masker:planted@db/masker does not answer",
    "Authorization: Bearer planted.planted.planted",
    "token=planted",
    '{"password": "planted"}',
    "MASKER_SLACK_TOKEN=planted",
    "api_key: planted",
    "xoxb-12345-planted",
    "eyJhbGciOi.planted.sig",
    "planted@example.org asked",
    "no such folder /home/planted/faces",
    "cannot read planted.png",
    "in ~/planted/me.jpg.",
    "planted" * 30,
]


@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_user_file_or_data_is_in_an_alert(text: str) -> None:
    made = alert(text, text=text, facts={"said": text}, correlation_id=text[:200], event=text[:150])
    assert "planted" not in made.model_dump_json()


@pytest.mark.parametrize("name", ["user", "user_id", "password", "file", "filename", "picture", "email", "path"])
def test_words_under_a_personal_name_are_masked(name: str) -> None:
    assert alert(facts={name: "planted"}).facts == {name: "***"}


def test_figures_are_kept_whatever_their_name() -> None:
    facts = {"images": 60, "files": 3, "share": 0.25, "version": "1.2.0", "route": "/v1/mask"}
    assert alert(facts=facts).facts == facts


def test_ordinary_words_stay_as_they_are() -> None:
    for text in (
        "p95 of POST /v1/mask is 1.4 s; at 12:30, and/or later",
        "see http://h:1/v1/mask",
        "release 1.2.0 → 1.3.0",
    ):
        assert scrubbed(text) == text


@given(st.text(max_size=300))
def test_scrubbing_twice_is_scrubbing_once(text: str) -> None:
    once = scrubbed(text)
    assert scrubbed(once) == once


def test_two_incidents_that_differ_in_what_is_masked_stay_two() -> None:
    assert scrubbed_key("disk /home/a/x") != scrubbed_key("disk /home/b/x")
    assert scrubbed_key("airflow/ingest_faces") == "airflow/ingest_faces"


@given(st.text(min_size=1).filter(lambda text: text.strip()), st.text())
def test_any_words_make_an_alert_of_bounded_size_with_a_title_of_one_line(title: str, text: str) -> None:
    made = alert(title, text=text, incident="x")
    assert len(made.title) <= MAX_TITLE
    assert len(made.text) <= MAX_TEXT
    assert not set(made.title) & set("\r\n\v\f\x85\u2028\u2029")


def test_links_lose_their_passwords() -> None:
    made = alert(links={"report": "https://u:planted@h/r.html?token=planted&day=1#top"})
    assert made.links == {"report": "https://h/r.html?day=1#top"}


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"area": "kitchen"}, "area"),
        ({"severity": "bad"}, "severity"),
        ({"title": " \n"}, "title"),
        ({"incident": ""}, "incident"),
        ({"incident": "a\nb"}, "incident"),
        ({"links": {"x": "javascript:alert(1)"}}, "links"),
        ({"facts": {"x": float("nan")}}, "facts"),
        ({"state": "over"}, "state"),
        ({"time": "2026-01-01T00:00:00"}, "time"),
        ({"novelty": 1}, "novelty"),
    ],
)
def test_a_wrong_field_is_named(wrong: dict[str, object], place: str) -> None:
    document = {"area": "drift", "severity": "info", "title": "t", "incident": "i"} | wrong
    with pytest.raises(BadInputError, match=place):
        parsed(document)
    with pytest.raises(BadInputError):
        parsed([document])
