from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.experiments.stored_events import DAY, HOUR, KINDS, START, complete, exposure, hour_folder, outcome, put

from identity_masker.errors import BadInputError
from identity_masker.experiments.event_source import collected
from identity_masker.experiments.simulation import Traffic, simulate
from identity_masker.settings import settings

Make = Callable[..., Any]
SENT = [{"name": "saved", "kind": "count", "role": "goal"}]
DAYS = {"start": "2026-11-02T00:00:00Z", "days": 2, "minimum_days": 0}


@pytest.fixture
def store() -> Path:
    return Path(settings().store.removeprefix("file://"))


def world(store: Path) -> None:
    """Two units on the first day, one of them a tester; hours of three days are whole."""
    put(
        store,
        "exposures",
        [
            exposure("a", "control", START + HOUR, attributes='{"device": "phone", "plan": null}'),
            exposure("b", "warm", START + 2 * HOUR, attributes='{"device": "tablet"}'),
            exposure("tester", "warm", START + 2 * HOUR, forced=True),
            exposure("a", "on", START + HOUR, experiment="other"),
        ],
    )
    put(store, "outcomes", [outcome("a", "saved", START + 3 * HOUR), outcome("a", "unread", START + 3 * HOUR)])
    request = {"unit": "b", "status": 200, "error": "", "latency_ms": 80.0, "version": "7", "time": START + 3 * HOUR}
    put(
        store,
        "requests",
        [
            {**request, "experiments": '{"tint": "warm"}'},
            {**request, "experiments": '{"tint": "warm"}', "status": 503, "error": "no_server", "version": ""},
            {**request, "experiments": "{}", "unit": "c"},
        ],
    )
    for kind in KINDS:
        complete(store, kind, START, START + 3 * DAY)


def test_exposures_come_with_the_attributes_that_results_are_broken_down_by(design: Make, store: Path) -> None:
    world(store)
    experiment = design(metrics=SENT, schedule=DAYS, analysis={"window": "1d", "segments": ["device", "plan"]})
    with collected(experiment, START + 3 * DAY) as found:
        rows = pl.read_parquet(found.exposures).sort("unit").rows(named=True)
        others = pl.read_parquet(found.others).rows() if found.others else []
    assert [(row["unit"], row["variant"], row["forced"], row["device"], row["plan"]) for row in rows] == [
        ("a", "control", False, "phone", None),
        ("b", "warm", False, "tablet", None),
        ("tester", "warm", True, None, None),
    ]
    assert others == [("a", "other", "on")]
    assert (found.units, found.missing, found.start) == (2, (), START)


def test_only_outcomes_that_a_metric_reads_are_taken(design: Make, store: Path) -> None:
    world(store)
    with collected(design(metrics=SENT, schedule=DAYS), START + 3 * DAY) as found:
        assert pl.read_parquet(found.outcomes)["name"].to_list() == ["saved"]


def test_requests_are_outcomes_by_themselves(design: Make, store: Path) -> None:
    world(store)
    # A client cannot add to what is counted at the gateway.
    put(store, "outcomes", [outcome("b", "masks", START + 3 * HOUR)])
    metrics = [
        {"name": "masks", "kind": "count", "role": "goal"},
        {"name": "errors", "kind": "ratio", "outcome": "request_error", "denominator": "count"},
        {"name": "slow", "kind": "quantile", "quantile": 0.9, "outcome": "latency_ms", "better": "lower"},
    ]
    with collected(design(metrics=metrics, schedule=DAYS), START + 3 * DAY) as found:
        rows = pl.read_parquet(found.outcomes).filter(pl.col("unit") == "b").select("name", "value").sort("*").rows()
    assert rows == [("latency_ms", 80.0), ("masks", 1.0), ("request_error", 0.0), ("request_error", 1.0)]
    assert found.versions == {"control": (), "warm": ("7",)}


def test_copies_for_a_shadow_are_no_requests_of_users(design: Make, store: Path) -> None:
    world(store)
    copy = {"unit": "b", "status": 200, "latency_ms": 9.0, "version": "8", "experiments": '{"tint": "warm"}'}
    put(store, "requests", [{**copy, "time": START + 3 * HOUR, "via": via} for via in ("shadow", "share", None)])
    metrics = [{"name": "masks", "kind": "count", "role": "goal"}]
    with collected(design(metrics=metrics, schedule=DAYS), START + 3 * DAY) as found:
        assert pl.read_parquet(found.outcomes).filter(pl.col("unit") == "b").height == 3


def test_hours_that_are_not_whole_are_named_for_the_kinds_that_count(design: Make, store: Path) -> None:
    world(store)
    late = START + 30 * HOUR
    (hour_folder(store, "outcomes", late) / "_complete.json").unlink()
    (hour_folder(store, "requests", late + HOUR) / "_complete.json").unlink()
    with collected(design(metrics=SENT, schedule=DAYS), START + 3 * DAY) as found:
        assert found.missing == (late,)
    with collected(design(metrics=SENT, schedule=DAYS), START + 5 * DAY) as found:
        assert found.missing == (late,), "after the last window nothing is missed"


def test_before_the_first_exposure_nothing_is_missing_when_the_design_has_no_start(design: Make, store: Path) -> None:
    put(store, "exposures", [exposure("a", "warm", START + 9 * HOUR)])
    for kind in KINDS:
        complete(store, kind, START + 9 * HOUR, START + 2 * DAY)
    with collected(design(metrics=SENT), START + 2 * DAY) as found:
        assert (found.start, found.missing) == (START + 9 * HOUR, ())


def test_events_from_the_moment_on_belong_to_the_next_evaluation(design: Make, store: Path) -> None:
    world(store)
    with collected(design(metrics=SENT, schedule=DAYS), START + 2 * HOUR) as found:
        assert found.units == 1


def test_an_empty_store_gives_no_units_and_names_every_hour(design: Make) -> None:
    with collected(design(metrics=SENT, schedule=DAYS), START + DAY) as found:
        assert found.units == 0
        assert len(found.missing) == 24
        assert found.others is None


def test_sessions_are_refused_because_the_event_log_knows_users(design: Make) -> None:
    with pytest.raises(BadInputError, match=r"users only.*unit: session"), collected(design(unit="session"), START):
        pass


def test_event_files_of_another_shape_are_refused(design: Make, store: Path) -> None:
    folder = hour_folder(store, "exposures", START)
    folder.mkdir(parents=True)
    pl.DataFrame({"who": ["a"]}).write_parquet(folder / "x.parquet")
    with (
        pytest.raises(BadInputError, match=r"stored exposures cannot be read.*expected columns event_id"),
        collected(design(schedule=DAYS), START + DAY),
    ):
        pass


def test_a_file_that_is_no_parquet_is_refused(design: Make, store: Path) -> None:
    folder = hour_folder(store, "outcomes", START)
    folder.mkdir(parents=True)
    (folder / "x.parquet").write_bytes(b"torn")
    with (
        pytest.raises(BadInputError, match="stored outcomes cannot be read"),
        collected(design(metrics=SENT, schedule=DAYS), START + DAY),
    ):
        pass


def test_events_of_an_object_store_are_read_through_fsspec(design: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKER_STORE_URI", "memory://experiments")
    settings.cache_clear()
    experiment = design(metrics=SENT, schedule=DAYS)
    traffic = Traffic(start=START, days=1, units_per_day=50)
    written = simulate(experiment, traffic, settings().store)
    with collected(experiment, START + 2 * DAY) as found:
        assert (found.units, found.missing) == (written.units, ())
        assert pl.read_parquet(found.outcomes).height == written.events["outcomes"] > 0
