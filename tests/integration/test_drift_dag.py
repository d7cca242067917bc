"""`check_drift` in a real Airflow on simulated weeks: silence, darker pictures named, a training, a quiet day.

Single runs first; at the end a whole Airflow, whose scheduler starts `train_masker` when drift is announced.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tests.integration.fleet_processes import free_ports
from tests.integration.mlflow_server import mlflow_server
from tests.integration.test_airflow_dags import AIRFLOW, prepared, run
from tests.integration.test_alerts_late import standalone, until
from tests.unit.alerts.endpoint import Endpoint, SlackApi, endpoint, slack_api
from tests.unit.alerts.mail_server import Mailbox, mail_server
from tests.unit.drift.traffic import DAY, FIRST, complete, examples, midnight, model_reference, night, policy

from identity_masker import artifacts
from identity_masker.drift.archive import window_uri
from identity_masker.drift.night_verdict import NightVerdict, load_verdict
from identity_masker.drift.policy import FILE
from identity_masker.settings import PROJECT, settings

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]
VERSION = "1"
DARKER, NORMAL, EMPTY = 4, 6, 7
# Weeks later, for the scheduler: drift, drift again within the week, and drift with a fault of the data after it.
AGAIN, SOON, FAULTY = 14, 15, 21
CHANNELS = """
channels: {chat: {kind: slack, channel: "#ops"}, mail: {kind: email}, hook: {kind: webhook}}
routes: [{name: all, channels: [chat, mail, hook]}]
"""


class Channels(NamedTuple):
    """All that people hear of: a Slack API, an SMTP server and a webhook, on loopback."""

    chat: SlackApi
    mail: Mailbox
    hook: Endpoint
    variables: dict[str, str]

    @property
    def heard(self) -> list[int]:
        """Messages on each channel so far."""
        return [len(self.chat.posts), len(self.mail.mails), len(self.hook.documents())]

    @property
    def last(self) -> dict[str, Any]:
        """The alert in the webhook's last message."""
        (alert,) = self.hook.documents()[-1]["alerts"]
        found: dict[str, Any] = alert
        return found


@pytest.fixture(scope="module")
def channels() -> Iterator[Channels]:
    with slack_api() as chat, mail_server() as (port, mail), endpoint() as hook:
        variables = {
            "MASKER_SLACK_TOKEN": "xoxb-of-the-test", "MASKER_SLACK_URL": chat.url,
            "MASKER_SMTP_HOST": "127.0.0.1", "MASKER_SMTP_PORT": str(port), "MASKER_SMTP_TLS": "none",
            "MASKER_SMTP_FROM": "masker@example.org", "MASKER_SMTP_TO": "team@example.org",
            "MASKER_WEBHOOK_URL": hook.url, "MASKER_WEBHOOK_SECRET": "a-secret-of-this-test",
        }  # fmt: skip
        yield Channels(chat, mail, hook, variables)


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> object:
    with mlflow_server(tmp_path_factory.mktemp("mlflow"), free_ports(1)) as uri:
        yield uri


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, mlflow: str, channels: Channels) -> object:
    """A prepared Airflow with this DAG, a registered version with its reference, and a week of its traffic."""
    home = tmp_path_factory.mktemp("drift")
    dags, config, store = home / "dags", home / "config", home / "store"
    for folder in (dags, config):
        folder.mkdir()
    for name in ("check_drift.py", "watch_drift.py", "train_masker.py"):
        (dags / name).write_bytes((PROJECT / "dags" / name).read_bytes())
    rules = policy(traffic={"retraining": {"nights": 2}})
    (config / FILE).write_text(yaml.safe_dump(rules.model_dump(mode="json")))
    (config / "alerts.yaml").write_text(CHANNELS)
    places = {"MASKER_MLFLOW_URI": mlflow, "MASKER_STORE_URI": str(store), "MASKER_CONFIG_DIR": str(config)}
    made = prepared(home, dags) | places | channels.variables
    register = [sys.executable, "-m", "tests.integration.registered_models", str(home / "models")]
    subprocess.run(register, env=made, check=True, capture_output=True, timeout=300, cwd=PROJECT)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in places.items():
            patch.setenv(name, value)
        settings.cache_clear()
        model_reference(version=VERSION, given=rules)
        for offset in range(EMPTY):
            night(store, FIRST + offset * DAY, version=VERSION, darker=1.0 if DARKER <= offset < NORMAL else 0.0)
        examples(store, FIRST + DARKER * DAY, 8)
        complete(store, FIRST + EMPTY * DAY)
        yield made
    settings.cache_clear()


def checked(environment: dict[str, str], offset: int) -> tuple[NightVerdict, str]:
    """The verdict on a day of the week, and the log of the DAG run."""
    start = midnight(FIRST + offset * DAY)
    end = start + timedelta(days=1)
    done = run(environment, "check_drift", start=start.isoformat(), end=end.isoformat(), version=VERSION)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return load_verdict(window_uri(VERSION, start, end)), done.stdout + done.stderr


def announced(environment: dict[str, str]) -> int:
    with sqlite3.connect(Path(environment["AIRFLOW_HOME"]) / "airflow.db") as database:
        return int(database.execute("SELECT count(*) FROM asset_event").fetchone()[0])


def test_a_night_without_change_is_silent(environment: dict[str, str], channels: Channels) -> None:
    found, log = checked(environment, DARKER - 1)
    assert (found.verdict, found.alert, found.retrain) == ("no_drift", None, False)
    assert "nothing to tell: no drift" in log
    assert found.mlflow_run
    assert announced(environment) == 0
    assert channels.heard == [0, 0, 0]


def test_darker_pictures_are_found_named_told_once_on_all_channels_and_start_one_training_on_the_second_night(
    environment: dict[str, str], channels: Channels
) -> None:
    found, log = checked(environment, DARKER)
    assert found.drifted == {"inputs": ("brightness",), "embeddings": ("masked_code",)}
    assert "drift in the traffic of version" in log
    assert "brightness" in log
    assert not found.retrain
    page = artifacts.read_bytes(found.report).decode()
    assert "data:image/jpeg;base64," in page
    assert found.report_bytes < 500_000
    assert channels.heard == [1, 1, 1]
    assert (channels.last["state"], channels.last["severity"]) == ("firing", "warning")
    assert "brightness" in str(channels.last["text"])
    assert "brightness" in channels.mail.mails[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    again, _ = checked(environment, DARKER + 1)
    assert again.retrain
    assert announced(environment) == 1
    assert channels.heard == [1, 1, 1]


def test_the_first_night_as_before_is_told_as_the_end_on_all_channels(
    environment: dict[str, str], channels: Channels
) -> None:
    found, _ = checked(environment, NORMAL)
    assert (found.verdict, found.retrain) == ("no_drift", False)
    assert channels.heard == [2, 2, 2]
    assert channels.last["state"] == "resolved"
    # The end stands in the thread of the beginning, and is shown to all.
    beginning, end = channels.chat.posts
    assert end["thread_ts"]
    assert "thread_ts" not in beginning


def test_a_day_without_traffic_succeeds_and_tells_nobody(environment: dict[str, str], channels: Channels) -> None:
    before = channels.heard
    found, _ = checked(environment, EMPTY)
    assert channels.heard == before
    assert (found.verdict, found.alert, found.retrain) == ("not_enough_data", None, False)


def test_between_the_nights_no_alarm_is_silence(environment: dict[str, str]) -> None:
    done = run(environment, "watch_drift", version=VERSION)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "nothing to tell: no alarm" in done.stdout + done.stderr


def test_an_unknown_version_fails_in_words(environment: dict[str, str]) -> None:
    done = run(environment, "check_drift", version="9.9.9")
    assert done.returncode != 0
    assert "there is no such model version" in done.stdout + done.stderr


def asked(environment: dict[str, str], query: str, *values: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(Path(environment["AIRFLOW_HOME"]) / "airflow.db", timeout=60) as database:
        return database.execute(query, values).fetchall()


def airflow(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [AIRFLOW, *arguments], env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def scheduled(environment: dict[str, str], offset: int) -> NightVerdict:
    """The verdict on a day, from a run that the scheduler executes."""
    start, run_id = midnight(FIRST + offset * DAY), f"night-{offset}"
    window = {"start": start.isoformat(), "end": (start + DAY).isoformat(), "version": VERSION}
    airflow(environment, "dags", "trigger", "check_drift", "--run-id", run_id, "--conf", json.dumps(window))
    states = "SELECT state FROM dag_run WHERE dag_id = 'check_drift' AND run_id = ?"
    until(lambda: asked(environment, states, run_id)[0][0] in ("success", "failed"), 600)
    assert asked(environment, states, run_id) == [("success",)]
    return load_verdict(window_uri(VERSION, start, start + DAY))


def trainings(environment: dict[str, str]) -> list[tuple[Any, ...]]:
    """Runs of `train_masker`: id and how it was started."""
    return asked(environment, "SELECT run_id, run_type FROM dag_run WHERE dag_id = 'train_masker'")


@pytest.mark.timeout(2400)
def test_the_scheduler_starts_one_training_when_drift_is_announced_and_none_within_a_week_or_for_a_fault(
    environment: dict[str, str], tmp_path: Path
) -> None:
    for offset in (AGAIN, SOON, FAULTY):
        gaps = {"contrast": [None] * 150 + [0.2] * 150} if offset == FAULTY else {}
        night(Path(environment["MASKER_STORE_URI"]), FIRST + offset * DAY, version=VERSION, darker=1.0, **gaps)
    rules = policy(traffic={"retraining": {"nights": 1}})
    (Path(environment["MASKER_CONFIG_DIR"]) / FILE).write_text(yaml.safe_dump(rules.model_dump(mode="json")))
    before = announced(environment)
    with standalone(environment, tmp_path / "airflow.log") as whole:
        for dag in ("check_drift", "train_masker"):
            airflow(whole, "dags", "unpause", dag)
        assert scheduled(whole, AGAIN).retrain
        until(lambda: bool(trainings(environment)))
        ((run_id, how),) = trainings(environment)
        assert how == "asset_triggered"
        # Nothing was ingested here, so that the training itself ends at once.
        plan = "SELECT state FROM task_instance WHERE dag_id = 'train_masker' AND task_id = 'plan' AND run_id = ?"
        until(lambda: asked(environment, plan, run_id) == [("success",)])
        soon, faulty = scheduled(whole, SOON), scheduled(whole, FAULTY)
    assert (soon.verdict, soon.retrain) == ("drift", False)
    assert f"the night {FIRST + AGAIN * DAY} started a training: one in 7 days" in soon.training
    assert (faulty.verdict, faulty.retrain, faulty.faults) == ("drift", False, ("contrast",))
    assert "a fault of the data in contrast" in faulty.training
    assert announced(environment) == before + 1
    assert trainings(environment) == [(run_id, how)]
