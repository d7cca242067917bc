from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.drift.traffic import DAY, FIRST, VERSION, complete, midnight, night, policy, put, requests

from identity_masker import artifacts
from identity_masker.drift.estimates import estimated
from identity_masker.drift.window import CODES, PICTURES, collect_window, load_window, read_table
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.serving.picture_code import SIZE
from identity_masker.settings import settings

ESTIMATE = {"estimates": {"usable": {"predicted": "changed", "label": "kept"}}}


def collected(store: Path, **traffic: object) -> str:
    rules = policy(traffic=traffic)
    return collect_window(str(store), VERSION, "1.0.0", midnight(FIRST), midnight(FIRST) + DAY, rules)[0]


def test_the_document_counts_what_the_tables_hold(drift_store: Path) -> None:
    night(drift_store, FIRST - DAY, 100)
    night(drift_store, FIRST, 500, status=[200] * 450 + [422] * 50)
    found = load_window(collected(drift_store))
    assert (found.requests, found.pictures, found.baseline) == (500, 450, 100)
    assert found.codes == policy().kept_rows
    assert found.groups == ("inputs", "outputs", "embeddings", "service")
    assert found.is_night


def test_codes_become_vectors_and_the_same_are_drawn_each_time(drift_store: Path) -> None:
    night(drift_store, FIRST, 900)
    first = read_table(collected(drift_store), CODES)
    assert first.num_rows == policy().kept_rows
    assert {len(code) for code in first.column("masked_code").to_pylist()} == {SIZE}
    assert read_table(collected(drift_store), CODES) == first


def test_a_code_that_is_none_is_missing(drift_store: Path) -> None:
    night(drift_store, FIRST, 40, masked_code=["", "no code"] * 20)
    assert load_window(collected(drift_store)).codes == 0


def test_only_columns_that_are_there_are_taken(drift_store: Path) -> None:
    table = requests(np.random.default_rng(0), midnight(FIRST), 40)
    put(drift_store, "requests", table, drop=("changed", "masked_code"))
    found = read_table(collected(drift_store), PICTURES)
    assert found.column_names == ["request_id", "brightness", "contrast", "sharpness"]


def test_hours_that_have_not_all_arrived_are_named(drift_store: Path) -> None:
    night(drift_store, FIRST, 100)
    complete(drift_store, FIRST)
    found = load_window(collected(drift_store))
    assert (found.hours, found.missing_hours) == (24, ())
    later = collect_window(
        str(drift_store), VERSION, "1.0.0", midnight(FIRST), midnight(FIRST) + timedelta(hours=26), policy()
    )[1]
    assert [hour.hour for hour in later.missing_hours] == [0, 1]
    assert not later.is_night


def test_an_object_store_is_read_as_a_folder_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKER_STORE_URI", "memory://drift-window")
    settings.cache_clear()
    store = settings().store
    uri = artifacts.join(store, "events/requests", f"date={FIRST}", "hour=00", "part.parquet")
    table = requests(np.random.default_rng(0), midnight(FIRST), 60)
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table, sink)
    artifacts.write_bytes(uri, sink.getvalue().to_pybytes())
    folder, found = collect_window(store, VERSION, "1.0.0", midnight(FIRST), midnight(FIRST) + DAY, policy())
    assert found.pictures == 60
    assert read_table(folder, PICTURES).num_rows == 60
    settings.cache_clear()


@pytest.mark.parametrize("content", [b"{}", b"no json"])
def test_what_is_no_window_is_refused(drift_store: Path, content: bytes) -> None:
    artifacts.write_bytes(str(drift_store / "w" / "collected.json"), content)
    with pytest.raises(BadInputError, match="this is no collected window"):
        load_window(str(drift_store / "w"))
    with pytest.raises(NotFoundError, match="no collected window"):
        load_window(str(drift_store / "elsewhere"))


def label(store: Path, rows: int, *, day: int = 0, suffix: str = "") -> None:
    """Label the first requests of a day: 1 where the picture changed by more than two thirds."""
    night_of = FIRST + day * DAY
    table = requests(np.random.default_rng((0, night_of.toordinal())), midnight(night_of), 600)
    changed = table.column("changed").to_pylist()[:rows]
    ids = table.column("request_id").to_pylist()[:rows]
    made = {
        "event_id": [each + suffix for each in ids],
        "time": [midnight(night_of + DAY)] * rows,
        "unit": [""] * rows,
        "name": ["kept"] * rows,
        "value": [float(value > 2 / 3) for value in changed],
    }
    put(store, "outcomes", pa.table(made))


def test_a_few_labels_a_night_give_a_band(drift_store: Path) -> None:
    night(drift_store, FIRST, 600)
    label(drift_store, 40, suffix="/kept")
    (found,) = estimated(collected(drift_store, **ESTIMATE), [], policy(traffic=ESTIMATE))
    assert found.performance is not None
    assert (found.performance.method, found.performance.labels, found.performance.rows) == (
        "prediction_powered", 40, 600,
    )  # fmt: skip
    assert found.performance.low < found.performance.mean < found.performance.high


def test_without_labels_it_is_calibrated_on_those_of_earlier_nights(drift_store: Path) -> None:
    rules = policy(traffic=ESTIMATE)
    night(drift_store, FIRST - DAY, 600)
    night(drift_store, FIRST, 600)
    label(drift_store, 200, day=-1)
    before = collect_window(str(drift_store), VERSION, "", midnight(FIRST) - DAY, midnight(FIRST), rules)[0]
    (found,) = estimated(collected(drift_store, **ESTIMATE), [before], rules)
    assert found.performance is not None
    assert (found.performance.method, found.performance.labels) == ("calibrated", 0)


def test_without_any_label_it_says_what_it_would_take(drift_store: Path) -> None:
    night(drift_store, FIRST, 60)
    (found,) = estimated(collected(drift_store, **ESTIMATE), [], policy(traffic=ESTIMATE))
    assert found.performance is None
    assert "20 labels" in found.note
