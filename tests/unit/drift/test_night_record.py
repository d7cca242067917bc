from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker import artifacts
from identity_masker.drift import archive
from identity_masker.drift.night_record import (
    NightRecord,
    note_training,
    remember_night,
    remembered,
    training,
)
from identity_masker.drift.nights import Night
from identity_masker.drift.policy import DriftPolicy
from identity_masker.errors import BadInputError

FIRST = date(2026, 11, 2)
POLICY = DriftPolicy()


def record(offset: int, **changes: Any) -> NightRecord:
    day = FIRST + timedelta(days=offset)
    given = {"outcome": "drift", "drifted": {"inputs": ("brightness",)}, **changes}
    return NightRecord(night=Night(night=day, reference="r", verdict=given["outcome"]), **given)


def test_drift_in_enough_nights_in_a_row_starts_a_training() -> None:
    nights = [record(0), record(1), record(2)]
    assert not training(nights[:2], [], POLICY).start
    assert training(nights, [], POLICY).start


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"faults": ("contrast",)}, "a fault of the data in contrast"),
        ({"outcome": "no_drift", "drifted": {}}, "no drift"),
        ({"outcome": "not_enough_data", "drifted": {}}, "not enough data"),
        ({"outcome": "schema_changed"}, "schema changed"),
        ({"missing_hours": 3}, "3 hours are missing"),
        ({"drifted": {"service": ("latency_ms",)}}, "no training mends"),
    ],
)
def test_a_night_that_a_training_cannot_mend_breaks_the_row(changes: dict[str, Any], reason: str) -> None:
    nights = [record(0), record(1), record(2, **changes), record(3), record(4)]
    found = training(nights, [], POLICY)
    assert not found.start
    assert reason in found.reason


def test_a_night_that_is_not_there_breaks_the_row() -> None:
    assert not training([record(0), record(1), record(3), record(4)], [], POLICY).start


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_there_is_never_more_than_one_training_in_the_stated_days(drifting: list[bool]) -> None:
    nights: list[NightRecord] = []
    started: list[date] = []
    for offset, drifted in enumerate(drifting):
        changes = {} if drifted else {"outcome": "no_drift", "drifted": {}}
        nights.append(record(offset, **changes))
        if training(nights, started, POLICY).start:
            started.append(nights[-1].day)
    for before, after in pairwise(started):
        assert (after - before).days >= POLICY.traffic.retraining.every_days


def test_the_night_of_a_training_keeps_its_decision() -> None:
    nights = [record(0), record(1), record(2)]
    assert training(nights, [nights[-1].day], POLICY).start


def test_nights_are_remembered_in_order_and_replaced_by_themselves(drift_store: Path) -> None:
    for offset in (2, 0, 1):
        remember_night("3", record(offset))
    remember_night("3", record(1, missing_hours=4))
    found = remembered("3", FIRST + timedelta(days=1))
    assert [(each.day, each.missing_hours) for each in found] == [(FIRST, 0), (FIRST + timedelta(days=1), 4)]


def test_a_damaged_night_is_named(drift_store: Path) -> None:
    artifacts.write_json(artifacts.join(archive.nights_uri("3"), f"{FIRST}.json"), {"night": 1})
    with pytest.raises(BadInputError, match="this is no night"):
        remembered("3", FIRST)


def test_trainings_of_all_versions_are_remembered(drift_store: Path) -> None:
    note_training("3", FIRST)
    note_training("4", FIRST + timedelta(days=8))
    assert archive.days(archive.trainings_uri()) == [FIRST, FIRST + timedelta(days=8)]
