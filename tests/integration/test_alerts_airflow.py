"""A DAG that fails and succeeds again, in a real Airflow, heard by a real webhook."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.test_airflow_dags import prepared, run
from tests.unit.alerts.endpoint import Endpoint, endpoint

from identity_masker.settings import PROJECT

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
DAGS = PROJECT / "tests" / "integration" / "alert_dags"
CONFIG = """
channels: {hook: {kind: webhook}}
routes: [{name: all, channels: [hook]}]
"""


def told(receiver: Endpoint) -> list[tuple[str, str]]:
    return [(alert["state"], alert["title"]) for body in receiver.documents() for alert in body["alerts"]]


def test_a_failing_dag_is_one_alert_and_its_next_success_a_recovery(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "alerts.yaml").write_text(CONFIG)
    with endpoint() as receiver:
        environment = {
            **prepared(tmp_path, DAGS),
            "MASKER_CONFIG_DIR": str(tmp_path / "config"),
            "MASKER_WEBHOOK_URL": receiver.url,
            "MASKER_WEBHOOK_SECRET": "a-secret-of-this-test",
        }
        failing = {**environment, "AIRFLOW_VAR_ALERT_PROBE_FAILS": "yes"}
        for _ in range(2):
            failed = run(failing, "alert_probe")
            assert failed.returncode != 0
        assert told(receiver) == [("firing", "alert_probe.work failed")], failed.stdout[-4000:]
        alert = receiver.documents()[0]["alerts"][0]
        assert "planted failure" in alert["text"]
        assert "planted-secret" not in alert["text"]
        assert "/dags/alert_probe/runs/" in alert["links"]["log"]
        done = run(environment, "alert_probe")
        assert done.returncode == 0, done.stdout[-4000:]
        assert told(receiver)[1:] == [("resolved", "alert_probe succeeded again")]
