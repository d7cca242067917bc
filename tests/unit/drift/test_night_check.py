"""Nights of traffic, from the event store to the verdict; no MLflow, no Airflow."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.drift.traffic import (
    DAY,
    FIRST,
    VERSION,
    add,
    complete,
    examples,
    midnight,
    model_reference,
    night,
    policy,
    put,
    requests,
)

from identity_masker import artifacts
from identity_masker.drift import archive
from identity_masker.drift.group_test import check_group
from identity_masker.drift.night_check import judge_window
from identity_masker.drift.night_verdict import NightVerdict, load_verdict, write_report
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.window import collect_window
from identity_masker.errors import BadInputError, NotFoundError


@pytest.fixture
def store(drift_store: Path) -> Path:
    model_reference()
    return drift_store


def judged(store: Path, day: date, rules: DriftPolicy | None = None) -> NightVerdict:
    given = rules or policy()
    folder, window = collect_window(str(store), VERSION, "1.0.0", midnight(day), midnight(day) + DAY, given)
    for group in window.groups:
        check_group(folder, group, given)
    return judge_window(folder, given, publish=False)


def test_a_night_without_change_is_silent(store: Path) -> None:
    night(store, FIRST)
    found = judged(store, FIRST)
    assert (found.verdict, found.alert, found.retrain, found.drifted) == ("no_drift", None, False, {})
    assert found.missing_hours == ()
    assert found.report_bytes < 500_000


def test_darker_pictures_are_found_and_named_and_their_end_is_told(store: Path) -> None:
    night(store, FIRST, darker=1.0)
    examples(store, FIRST, 12)
    found = judged(store, FIRST)
    assert found.verdict == "drift"
    assert found.drifted == {"inputs": ("brightness",), "embeddings": ("masked_code",)}
    assert found.alert is not None
    assert (found.alert.state, found.alert.severity) == ("firing", "warning")
    assert "brightness" in found.alert.title
    assert found.alert.facts["columns"] == "brightness, masked_code"
    page = artifacts.read_bytes(found.report).decode()
    assert page.count("data:image/jpeg;base64,") == 8
    assert found.report_bytes < 500_000
    night(store, FIRST + DAY)
    after = judged(store, FIRST + DAY)
    assert after.verdict == "no_drift"
    assert after.alert is not None
    assert (after.alert.state, after.alert.incident) == ("resolved", found.alert.incident)
    assert "Trend over nights" in artifacts.read_bytes(after.report).decode()


def test_the_same_night_again_gives_the_same(store: Path) -> None:
    rules = policy(traffic={"retraining": {"nights": 1}})
    night(store, FIRST, darker=1.0)
    first = judged(store, FIRST, rules)
    assert first.retrain
    assert judged(store, FIRST, rules) == first == load_verdict(first.window)


def test_drift_over_nights_starts_one_training_a_week(store: Path) -> None:
    rules = policy(traffic={"retraining": {"nights": 2}})
    started = []
    for offset in range(9):
        night(store, FIRST + timedelta(days=offset), 60, darker=2.0)
        started.append(judged(store, FIRST + timedelta(days=offset), rules).retrain)
    assert started == [False, True, False, False, False, False, False, False, True]


def test_a_fault_of_the_data_starts_no_training(store: Path) -> None:
    night(store, FIRST, darker=1.0, contrast=[None] * 150 + [0.2] * 150)
    found = judged(store, FIRST, policy(traffic={"retraining": {"nights": 1}}))
    assert found.verdict == "drift"
    assert found.faults == ("contrast",)
    assert not found.retrain
    assert "a fault of the data in contrast" in found.training


def test_failing_requests_are_drift_of_the_service_alone(store: Path) -> None:
    night(store, FIRST)
    night(store, FIRST + DAY, status=[200] * 250 + [503] * 50, error=[""] * 250 + ["no_server"] * 50)
    found = judged(store, FIRST + DAY, policy(traffic={"retraining": {"nights": 1}}))
    assert found.drifted == {"service": ("status", "error")}
    assert found.alert is not None
    assert not found.retrain


def test_incomplete_hours_are_told(store: Path) -> None:
    night(store, FIRST)
    for hour in (3, 4):
        (store / "events" / "requests" / f"date={FIRST}" / f"hour={hour:02}" / "_complete.json").unlink()
    found = judged(store, FIRST)
    assert [hour[11:13] for hour in found.missing_hours] == ["03", "04"]
    assert any("2 of 24 hours have not all arrived" in reason for reason in found.reasons)


@pytest.mark.parametrize("rows", [0, 1, 12])
def test_little_or_no_traffic_is_not_enough_and_nothing_is_alerted(store: Path, rows: int) -> None:
    if rows:
        night(store, FIRST, rows)
    else:
        complete(store, FIRST)
    found = judged(store, FIRST)
    assert (found.verdict, found.alert, found.retrain) == ("not_enough_data", None, False)
    assert found.reasons


def test_before_any_version_is_deployed_there_is_not_enough(drift_store: Path) -> None:
    folder, window = collect_window(str(drift_store), "", "", midnight(FIRST), midnight(FIRST) + DAY, policy())
    assert window.groups == ()
    found = judge_window(folder, policy(), publish=False)
    assert (found.verdict, found.reasons[0]) == ("not_enough_data", "no version is deployed")


def test_a_constant_column_is_found(store: Path) -> None:
    night(store, FIRST, brightness=[0.5] * 300)
    assert judged(store, FIRST).drifted == {"inputs": ("brightness",)}


def test_a_column_without_values_is_a_fault(store: Path) -> None:
    night(store, FIRST, changed=[None] * 300)
    found = judged(store, FIRST)
    assert found.faults == ("changed",)


def test_infinite_values_are_a_fault(store: Path) -> None:
    night(store, FIRST, sharpness=[float("inf")] * 50 + [float("nan")] * 50 + [0.3] * 200)
    assert "sharpness" in judged(store, FIRST).faults


def test_a_column_that_is_no_longer_written_is_another_schema(store: Path) -> None:
    put(store, "requests", requests(np.random.default_rng(0), midnight(FIRST), 300), drop=("sharpness",))
    complete(store, FIRST)
    found = judged(store, FIRST)
    assert found.verdict == "schema_changed"
    assert any("sharpness is missing" in reason for reason in found.reasons)
    assert found.alert is not None


def test_a_column_that_the_reference_does_not_know_is_left_out(store: Path) -> None:
    night(store, FIRST)
    for path in (store / "events" / "requests").rglob("*.parquet"):
        table = pq.read_table(path, partitioning=None)
        pq.write_table(table.append_column("leak", pa.array([0.1] * table.num_rows)), path)
    assert judged(store, FIRST).verdict == "no_drift"


def test_a_reason_of_its_own_for_every_request_is_drift_in_a_document_of_bounded_size(store: Path) -> None:
    night(store, FIRST, 3_000)
    rows, day = 5_000, FIRST + DAY
    night(store, day, rows, error=[f"reason-{row}" for row in range(rows)])
    found = judged(store, day)
    assert found.drifted == {"service": ("error",)}
    assert len(artifacts.read_bytes(found.evidence)) < 200_000
    assert found.report_bytes < 500_000


def test_a_column_of_mixed_types_is_another_schema(store: Path) -> None:
    night(store, FIRST)
    path = next((store / "events" / "requests").rglob("*.parquet"))
    table = pq.read_table(path, partitioning=None)
    words = pa.array(["bright"] * table.num_rows)
    pq.write_table(table.set_column(table.column_names.index("brightness"), "brightness", words), path)
    found = judged(store, FIRST)
    assert found.verdict == "schema_changed"
    assert "column brightness was numeric and is category" in found.reasons


def test_events_that_are_no_table_are_refused(store: Path) -> None:
    night(store, FIRST, 60)
    next((store / "events" / "requests").rglob("*.parquet")).write_bytes(b"torn")
    with pytest.raises(BadInputError, match="stored events cannot be read"):
        judged(store, FIRST)


def test_a_reference_of_another_version_is_refused(drift_store: Path) -> None:
    other = Path(model_reference(version="7"))
    own = Path(archive.reference_uri(VERSION))
    own.parent.mkdir(parents=True)
    other.rename(own)
    night(drift_store, FIRST, 60)
    with pytest.raises(BadInputError, match="of another model version"):
        judged(drift_store, FIRST)


def test_a_version_without_a_reference_is_named(drift_store: Path) -> None:
    night(drift_store, FIRST, 60)
    with pytest.raises(NotFoundError):
        judged(drift_store, FIRST)


def test_a_window_that_was_not_tested_is_not_judged(store: Path) -> None:
    night(store, FIRST, 60)
    folder, _ = collect_window(str(store), VERSION, "1.0.0", midnight(FIRST), midnight(FIRST) + DAY, policy())
    with pytest.raises(NotFoundError, match="was not tested"):
        judge_window(folder, policy(), publish=False)
    with pytest.raises(NotFoundError, match="was not judged"):
        write_report(folder, store / "page.html")


def test_a_group_without_rows_is_not_tested(store: Path) -> None:
    night(store, FIRST, 60)
    folder, _ = collect_window(str(store), VERSION, "1.0.0", midnight(FIRST), midnight(FIRST) + DAY, policy())
    with pytest.raises(BadInputError, match="nothing to test"):
        check_group(folder, "service", policy())


def test_a_part_of_a_day_is_judged_and_not_remembered(store: Path) -> None:
    night(store, FIRST, darker=1.0)
    start = midnight(FIRST) + timedelta(hours=6)
    folder, window = collect_window(str(store), VERSION, "1.0.0", start, start + timedelta(hours=12), policy())
    assert 100 < window.pictures < 200
    for group in window.groups:
        check_group(folder, group, policy())
    found = judge_window(folder, policy(), publish=False)
    assert found.verdict == "drift"
    assert archive.days(archive.nights_uri(VERSION)) == []
    page = store / "page.html"
    assert write_report(folder, page).bytes == page.stat().st_size


def test_other_versions_are_not_in_the_window(store: Path) -> None:
    night(store, FIRST)
    night(store, FIRST, 200, seed=1, version="4", darker=3.0)
    found = judged(store, FIRST)
    assert (found.verdict, found.requests) == ("no_drift", 300)


def test_scores_of_sampled_answers_are_compared_with_the_days_before(store: Path) -> None:
    given = {"estimates": {"identified": {"predicted": "leak", "label": "leak_confirmed"}}}
    rules = policy(columns={"status": {"kind": "category"}, "leak": {"sampled": True}}, traffic=given)
    for offset, (share, leak) in enumerate([(0.5, 0.1), (0.2, 0.1), (0.5, 0.4)]):
        day = FIRST + offset * DAY
        night(store, day)
        add(store, day, "leak", [leak + 0.001 * (row % 7) if row % 10 < 10 * share else None for row in range(300)])
    assert judged(store, FIRST + DAY, rules).verdict == "no_drift"
    found = judged(store, FIRST + 2 * DAY, rules)
    assert found.drifted == {"service": ("leak",)}
    assert [each.name for each in found.estimates] == ["identified"]


def test_a_shadow_meets_no_user_and_is_not_compared(store: Path) -> None:
    night(store, FIRST, darker=[0.0] * 200 + [3.0] * 100)
    add(store, FIRST, "via", ["share"] * 200 + ["shadow"] * 100)
    found = judged(store, FIRST)
    assert (found.verdict, found.requests) == ("no_drift", 200)


def test_a_shadow_of_the_days_before_is_left_out_too(store: Path) -> None:
    night(store, FIRST)
    add(store, FIRST, "via", ["share"] * 200 + ["shadow"] * 100)
    night(store, FIRST + DAY)
    start = midnight(FIRST + DAY)
    _, window = collect_window(str(store), VERSION, "1.0.0", start, start + DAY, policy())
    assert (window.requests, window.baseline) == (300, 200)


def test_a_window_that_is_collected_again_has_to_be_tested_again(store: Path) -> None:
    night(store, FIRST)
    folder = judged(store, FIRST).window
    collect_window(str(store), VERSION, "1.0.0", midnight(FIRST), midnight(FIRST) + DAY, policy())
    with pytest.raises(NotFoundError, match="was not tested"):
        judge_window(folder, policy(), publish=False)


def test_scores_that_nobody_measures_are_no_fault(store: Path) -> None:
    known = {"leak": {"sampled": True}, "face_found": {"kind": "category", "sampled": True}}
    rules = policy(columns={"status": {"kind": "category"}, **known})
    for day in (FIRST, FIRST + DAY):
        night(store, day)
        for column in known:
            add(store, day, column, [None] * 300)
    found = judged(store, FIRST + DAY, rules)
    assert (found.verdict, found.faults, found.alert) == ("no_drift", (), None)
