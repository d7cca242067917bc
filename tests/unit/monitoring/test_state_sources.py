"""Sources against real stores: records, rollouts, experiments, drift, alerts, GPUs, MLflow that is away."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import text
from tests.unit.release.world import World

from identity_masker.drift.verdict import Outcome
from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.monitoring.sample import Sample
from identity_masker.monitoring.sources import drift
from identity_masker.monitoring.sources.alerts import AlertsSource
from identity_masker.monitoring.sources.data import DataSource
from identity_masker.monitoring.sources.drift import DriftSource
from identity_masker.monitoring.sources.experiments import ExperimentsSource
from identity_masker.monitoring.sources.gpu import GpuSource
from identity_masker.monitoring.sources.models import ModelsSource
from identity_masker.monitoring.sources.release import ReleaseSource
from identity_masker.serving.control import Control
from identity_masker.settings import Settings

Values = dict[tuple[str, ...], float]


def found(samples: Iterable[Sample]) -> Values:
    return {(sample.family.name, *sample.labels): sample.value for sample in samples}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/control.db"


def test_a_rollout_that_was_rolled_back_is_told_with_its_evidence(tmp_path: Path, url: str) -> None:
    with Control(url) as control:
        world = World(tmp_path, control)
        source = ReleaseSource(url, world.store)
        assert found(source.read()) == {
            ("masker_rollouts_ended", "promoted"): 0,
            ("masker_rollouts_ended", "rolled_back"): 0,
        }
        world.gateway.error_shares["2"] = 0.2
        world.start()
        world.run()
        values = found(source.read())
    assert values["masker_rollouts_ended", "rolled_back"] == 1
    assert values["masker_rollout_outcome", "rolled_back"] == 1
    assert values["masker_rollout_verdict", "roll_back"] == 1
    assert values["masker_rollout_phase", "ended"] == 1
    assert values["masker_rollout_metric_e_value", "errors"] > 20
    assert values["masker_rollout_metric_level", "errors", "canary"] == pytest.approx(0.2, abs=0.05)
    assert values["masker_rollout_looks",] >= 1


def test_datasets_are_told_by_their_newest_valid_version(tmp_path: Path) -> None:
    folder = tmp_path / "datasets" / "rendered"
    for part in ("versions", "validations"):
        (folder / part).mkdir(parents=True)
    counts = {"accepted": 90, "quarantined": 7, "duplicates": 3, "people": 9, "split_images": {"train": 70, "test": 20}}
    record = {"created_at": "2026-11-02T00:00:00Z", "counts": counts}
    for semver in ("1.0.0", "1.1.0", "1.2.0"):
        (folder / "versions" / f"{semver}.json").write_text(json.dumps(record))
    for semver, ok in (("1.0.0", True), ("1.1.0", True), ("1.2.0", False)):
        (folder / "validations" / f"{semver}.json").write_text(json.dumps({"ok": ok}))
    values = found(DataSource(f"file://{tmp_path}").read())
    assert values["masker_dataset_created_timestamp_seconds", "rendered", "1.1.0"] == 1_793_577_600
    assert values["masker_dataset_versions", "rendered", "validated"] == 2
    assert values["masker_dataset_versions", "rendered", "failed"] == 1
    assert values["masker_dataset_images", "rendered", "train"] == 70
    assert values["masker_dataset_ingested_images", "rendered", "quarantined"] == 7


def test_experiments_are_told_before_their_first_evaluation(tmp_path: Path, url: str) -> None:
    config = Settings(home=tmp_path, control_db=url)
    values = found(ExperimentsSource(config).read())
    assert values["masker_experiment_running", "same-masker"] == 0
    assert values["masker_experiment_weight", "same-masker", "control"] == 0.5
    assert values["masker_experiment_days", "softer-skin"] == 28


def _window(root: Path, version: str, window: str, document: object) -> None:
    folder = root / "drift" / version / "windows" / window
    folder.mkdir(parents=True)
    if document is not None:
        (folder / "verdict.json").write_text(json.dumps(document))


def test_drift_is_that_of_the_newest_window_with_a_verdict(tmp_path: Path) -> None:
    source = DriftSource(f"file://{tmp_path}")
    assert found(source.read()) == {}
    column = {"name": "brightness", "drift": True, "effect": 0.8, "psi": None, "ks": 0.3, "adjusted_p_value": 1e-9}
    _window(tmp_path, "2", "20261101T000000Z--20261102T000000Z", {"verdict": "no_drift", "columns": []})
    _window(tmp_path, "2", "20261102T000000Z--20261103T000000Z", {"verdict": "drift", "columns": [column]})
    _window(tmp_path, "2", "20261103T000000Z--20261104T000000Z", None)
    (tmp_path / "drift" / "trainings").mkdir()
    values = found(source.read())
    assert values["masker_drift_verdict", "2", "drift"] == 1
    assert values["masker_drift_verdict", "2", "no_drift"] == 0
    assert values["masker_drift_window_end_timestamp_seconds", "2"] == 1_793_664_000
    assert values["masker_drift_column_drift", "2", "brightness"] == 1
    assert values["masker_drift_column_score", "2", "brightness", "effect"] == 0.8
    assert ("masker_drift_column_score", "2", "brightness", "psi") not in values


def test_columns_of_groups_are_told_too_and_unknown_parts_are_passed_over(tmp_path: Path) -> None:
    group = {"columns": [{"name": "changed", "drift": False, "effect": 0.1}], "more": [1]}
    for version, groups in (("1", {"outputs": group}), ("2", [{"name": "outputs", **group}, "?"])):
        _window(tmp_path, version, "20261102T000000Z--20261103T000000Z", {"groups": groups, "columns": ["?"]})
    values = found(DriftSource(f"file://{tmp_path}").read())
    for version in ("1", "2"):
        assert values["masker_drift_column_score", version, "changed", "effect"] == 0.1


def test_what_a_night_counts_and_estimates_is_told(tmp_path: Path) -> None:
    leak = {"name": "identity_leak", "performance": {"mean": 0.02, "low": 0.01, "high": 0.03}}
    usable = {"name": "usable", "performance": None, "note": "no label"}
    night = {"requests": 700, "retrain": True, "faults": ["status"], "missing_hours": [], "estimates": [leak, usable]}
    _window(tmp_path, "3", "20261102T000000Z--20261103T000000Z", {"verdict": "drift", "columns": [], **night})
    values = found(DriftSource(f"file://{tmp_path}").read())
    assert values["masker_drift_requests", "3"] == 700
    assert values["masker_drift_retrain", "3"] == 1
    assert values["masker_drift_faults", "3"] == 1
    assert values["masker_drift_missing_hours", "3"] == 0
    assert values["masker_drift_estimate", "3", "identity_leak", "high"] == 0.03
    assert ("masker_drift_estimate", "3", "usable", "mean") not in values


def test_the_verdicts_of_drift_are_those_that_the_judge_knows() -> None:
    assert get_args(Outcome) == drift.VERDICTS


def test_alerts_are_told_once_there_are_tables_of_them(url: str) -> None:
    source = AlertsSource(url)
    assert found(source.read()) == {}
    with Control(url) as control, control.transaction() as connection:
        connection.execute(text("CREATE TABLE alert_deliveries (channel TEXT, state TEXT, due_at FLOAT)"))
        connection.execute(text("CREATE TABLE alert_incidents (area TEXT, severity TEXT, state TEXT)"))
        rows = [
            ("slack", "waiting", 100.0),
            ("slack", "waiting", 50.0),
            ("slack", "sent", 1.0),
            ("mail", "given_up", 2.0),
        ]
        for channel, state, due in rows:
            connection.execute(
                text("INSERT INTO alert_deliveries VALUES (:c, :s, :d)"), {"c": channel, "s": state, "d": due}
            )
        connection.execute(text("INSERT INTO alert_incidents VALUES ('drift', 'warning', 'firing')"))
        connection.execute(text("INSERT INTO alert_incidents VALUES ('drift', 'warning', 'resolved')"))
    values = found(source.read())
    assert values["masker_alert_deliveries_waiting", "slack"] == 2
    assert values["masker_alert_deliveries_oldest_due_timestamp_seconds", "slack"] == 50
    assert ("masker_alert_deliveries_oldest_due_timestamp_seconds", "mail") not in values
    assert values["masker_alert_deliveries_lost", "mail", "given_up"] == 1
    assert values["masker_alert_incidents_open", "drift", "warning"] == 1


def test_without_a_driver_there_is_no_gpu() -> None:
    assert found(GpuSource("libno-such-thing.so").read()) == {("masker_gpus",): 0}


def test_mlflow_that_is_away_or_no_server_is_an_error_in_words() -> None:
    with pytest.raises(TemporaryError, match="MLflow does not answer"):
        list(ModelsSource("http://127.0.0.1:9").read())
    with pytest.raises(BadInputError, match="MASKER_MLFLOW_URI"):
        list(ModelsSource("sqlite:///mlflow.db").read())
