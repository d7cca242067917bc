"""The alert service over HTTP."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.unit.alerts.desks import Clock, alert, desk
from tests.unit.alerts.endpoint import Endpoint, endpoint
from tests.unit.serving.support import running

from identity_masker.alerts import alertmanager
from identity_masker.alerts.service import AlertService
from identity_masker.errors import BadInputError

TOKEN = "a-token-of-the-tests"


def instance(name: str = "HighErrorRate", **fields: Any) -> dict[str, Any]:
    known = {
        "status": "firing",
        "labels": {"alertname": name, "severity": "page", "area": "serving", "instance": "h:1"},
        "annotations": {"summary": f"{name} on h:1", "description": "5 % fail", "runbook_url": "http://r/"},
        "startsAt": "2026-11-23T10:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://p/graph?x",
        "fingerprint": "abc123",
    }
    return known | fields


def payload(*instances: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": "firing", "receiver": "masker",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am/",
        "alerts": list(instances),
    }  # fmt: skip


@contextmanager
def serving(folder: Path, receiver: Endpoint, token: SecretStr | None = None) -> Iterator[str]:
    with desk(folder, receiver.url, Clock()) as open_desk:
        service = AlertService(open_desk, token, poll_seconds=0.05)
        with running(service.app) as url:
            yield url


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_alertmanager_posts_is_sent_and_its_end_too(tmp_path: Path) -> None:
    with endpoint() as receiver, serving(tmp_path, receiver) as url:
        taken = httpx.post(f"{url}/v1/alertmanager", json=payload(instance(), instance("Other", fingerprint="x")))
        assert taken.json() == {"accepted": 2}
        until(lambda: len(receiver.accepted) == 2)
        httpx.post(f"{url}/v1/alertmanager", json=payload(instance()))
        over = instance(status="resolved", endsAt="2026-11-23T10:30:00Z")
        httpx.post(f"{url}/v1/alertmanager", json=payload(over))
        until(lambda: len(receiver.accepted) == 3)
        first, _, end = (body["alerts"][0] for body in receiver.documents())
        assert (first["area"], first["severity"], first["title"]) == ("serving", "critical", "HighErrorRate on h:1")
        assert first["links"]["runbook"] == "http://r/"
        assert first["facts"] == {"rule": "HighErrorRate", "instance": "h:1"}
        assert (end["state"], end["incident"], end["time"]) == ("resolved", first["incident"], "2026-11-23T10:30:00Z")
        metrics = httpx.get(f"{url}/metrics").text
        assert 'masker_alerts_taken_total{area="serving",meaning="repeat"} 1.0' in metrics
        until(lambda: 'masker_alerts_firing{severity="critical"} 1.0' in httpx.get(f"{url}/metrics").text)
        assert httpx.get(f"{url}/health/ready").json()["status"] == "ready"


def test_what_another_process_wrote_is_sent_by_the_service(tmp_path: Path) -> None:
    with endpoint() as receiver, serving(tmp_path, receiver), desk(tmp_path, "http://-/", Clock()) as other:
        other.take(alert("from elsewhere"))
        until(lambda: bool(receiver.accepted))


def test_without_its_token_nobody_is_heard(tmp_path: Path) -> None:
    with endpoint() as receiver, serving(tmp_path, receiver, SecretStr(TOKEN)) as url:
        for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
            answer = httpx.post(f"{url}/v1/alertmanager", json=payload(instance()), headers=header)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.headers["content-type"] == "application/problem+json"
        good = httpx.post(
            f"{url}/v1/alertmanager", json=payload(instance()), headers={"authorization": f"Bearer {TOKEN}"}
        )
        assert good.status_code == 200
        assert httpx.get(f"{url}/health/live").status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"version": "3", "alerts": []}', b'{"version": "4", "alerts": [{"status": "odd"}]}']
)
def test_another_body_is_an_error_in_words(tmp_path: Path, body: bytes) -> None:
    with endpoint() as receiver, serving(tmp_path, receiver) as url:
        answer = httpx.post(f"{url}/v1/alertmanager", content=body)
        assert answer.status_code == (422 if body else 400)
        assert answer.json()["fix"]


def test_when_alerts_cannot_be_written_down_alertmanager_is_asked_to_come_back(tmp_path: Path) -> None:
    with endpoint() as receiver, serving(tmp_path, receiver) as url:
        other = sqlite3.connect(tmp_path / "control.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        answer = httpx.post(f"{url}/v1/alertmanager", json=payload(instance()), timeout=120)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        other.rollback()
        other.close()
        assert httpx.post(f"{url}/v1/alertmanager", json=payload(instance()), timeout=120).status_code == 200
        until(lambda: bool(receiver.accepted))


@given(
    st.dictionaries(st.text(max_size=60), st.text(max_size=400), max_size=60),
    st.dictionaries(st.sampled_from(["summary", "description", "message", "runbook_url", "dashboard"]), st.text()),
)
def test_any_labels_and_annotations_make_an_alert(labels: dict[str, str], annotations: dict[str, str]) -> None:
    body = json.dumps(payload(instance(labels=labels, annotations=annotations, fingerprint=""))).encode()
    (found,) = alertmanager.read(body)
    assert found.title
    assert found.incident.startswith("prometheus/")


@given(st.binary(max_size=200))
def test_any_bytes_are_alerts_or_bad_input(body: bytes) -> None:
    with suppress(BadInputError):
        assert alertmanager.read(body) == []
