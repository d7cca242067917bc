from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from identity_masker.alerts.channels import configured
from identity_masker.alerts.config import load
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.settings import PROJECT, Settings

GOOD = {"channels": {"hook": {"kind": "webhook"}}, "routes": [{"name": "all", "channels": ["hook"]}]}


def written(folder: Path, document: object) -> Path:
    (folder / "alerts.yaml").write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return folder


def test_the_shipped_configuration_sends_every_alert_somewhere() -> None:
    shipped = load(PROJECT / "include" / "config")
    assert shipped.route("serving", "critical").channels == ("chat", "mail", "hook")
    assert shipped.route("release", "info").name == "release"
    assert shipped.route("drift", "info").name == "news"
    assert shipped.quiet_hours is not None


def test_the_first_route_that_takes_an_alert_sends_it_and_the_log_gets_the_rest(tmp_path: Path) -> None:
    routes = [
        {"name": "bad", "severities": ["critical"], "channels": ["hook"]},
        {"name": "drift", "areas": ["drift"], "channels": ["log"]},
    ]
    found = load(written(tmp_path, GOOD | {"routes": routes}))
    assert found.route("drift", "critical").name == "bad"
    assert found.route("drift", "warning").name == "drift"
    assert found.route("data", "warning").channels == ("log",)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"routes": []}, "routes"),
        ({"routes": [{"name": "a", "channels": ["chat"]}]}, "route a names unknown channels chat; known: hook, log"),
        ({"routes": [{"name": "a", "channels": ["hook"], "severities": ["loud"]}]}, r"routes\.0\.severities\.0"),
        ({"routes": [{"name": "a", "channels": ["hook"]}] * 2}, "same name"),
        ({"channels": {"hook": {"kind": "pigeon"}}}, r"channels\.hook"),
        ({"channels": {"hook": {"kind": "slack", "channel": "no hash"}}}, r"channels\.hook\.channel"),
        ({"channels": {"hook": {"kind": "email", "to": ["nobody"]}}}, "not an e-mail address"),
        ({"channels": {"log": {"kind": "webhook"}}}, "built in"),
        ({"quiet_hours": {"zone": "Mars/Base", "since": "22:00", "until": "07:00"}}, "no time zone"),
        ({"quiet_hours": {"since": "22:00", "until": "22:00"}}, "have to end"),
        ({"quiet_hours": {"since": "later", "until": "22:00"}}, r"quiet_hours\.since"),
        ({"retry": {"first_seconds": 60, "longest_seconds": 5}}, "below first_seconds"),
        ({"retry": {"factor": ".nan"}}, r"retry\.factor"),
        ({"novelty": 1}, "novelty"),
    ],
)
def test_a_wrong_configuration_names_its_file_and_place(tmp_path: Path, change: dict[str, object], place: str) -> None:
    with pytest.raises(BadInputError, match=place) as caught:
        load(written(tmp_path, GOOD | change))
    assert "alerts.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", "a: [", "\x00"])
def test_a_file_that_is_no_configuration_is_bad_input(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInputError, match=r"alerts\.yaml"):
        load(written(tmp_path, text))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"alerts\.yaml"):
        load(tmp_path)


def test_a_channel_without_its_settings_is_not_there() -> None:
    shipped = load(PROJECT / "include" / "config")
    bare = configured.channels(shipped, Settings())
    assert set(bare) == {"log"}
    assert configured.missing(shipped, bare)["chat"] == "MASKER_SLACK_TOKEN"
    full = Settings(
        slack_token=SecretStr("xoxb-1"),
        smtp_host="localhost",
        smtp_from="a@example.org",
        smtp_to="b@example.org, c@example.org",
        webhook_url=SecretStr("http://localhost/hook"),
        webhook_secret=SecretStr("sixteen-letters-"),
    )
    assert set(configured.channels(shipped, full)) == {"log", "chat", "mail", "hook"}


@pytest.mark.parametrize(
    ("fields", "variable"),
    [
        ({"smtp_host": "h", "smtp_from": "nobody", "smtp_to": "b@example.org"}, "MASKER_SMTP_FROM"),
        ({"smtp_host": "h", "smtp_from": "a@example.org", "smtp_to": "b@example.org,nobody"}, "MASKER_SMTP_TO"),
        ({"slack_token": SecretStr("x"), "slack_url": "ftp://h"}, "MASKER_SLACK_URL"),
        (
            {"webhook_url": SecretStr("planted"), "webhook_secret": SecretStr("sixteen-letters-")},
            "MASKER_WEBHOOK_URL",
        ),
    ],
)
def test_a_wrong_address_names_its_variable(fields: dict[str, object], variable: str) -> None:
    with pytest.raises(BadInputError, match=variable) as caught:
        configured.channels(load(PROJECT / "include" / "config"), Settings(**fields))  # type: ignore[arg-type]
    assert "planted" not in str(caught.value)
