from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.experiments.conftest import document

from identity_masker.errors import BadInputError
from identity_masker.experiments.assignment import assign
from identity_masker.experiments.catalog import parse
from identity_masker.experiments.live import LiveExperiments, live
from identity_masker.experiments.steering import NOTICE, set_weights
from identity_masker.experiments.sticky_table import StickyTable
from identity_masker.serving.allocations import AllocationLedger
from identity_masker.settings import settings

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SEGMENTS = {"window": "1d", "scale": "absolute", "segments": ["device"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "experiments"
    made.mkdir()
    return made


def write(folder: Path, **changes: Any) -> None:
    (folder / f"{changes.get('name', 'tint')}.yaml").write_text(yaml.safe_dump(document(**changes)))


def opened(folder: Path) -> LiveExperiments:
    return LiveExperiments(settings().control_url, folder)


def at(moment: datetime) -> Callable[[], float]:
    return moment.timestamp


def test_a_unit_gets_the_variant_that_assign_gives(folder: Path) -> None:
    write(folder)
    rule = parse(document(), "t").rule
    found = opened(folder)
    for unit in map(str, range(50)):
        (placed,) = found.place(unit, {}).placed
        assert placed.variant == assign(rule, {"user": unit}).name
        assert placed.model == {"control": "champion", "warm": "challenger"}[placed.variant]


def test_an_exposure_is_written_once_with_the_attributes_that_the_analysis_needs(folder: Path) -> None:
    write(folder, analysis=SEGMENTS)
    found = opened(folder)
    first = found.place("u1", {"device": "phone", "e-mail": "a@b.c"}, clock=at(NOW))
    (row,) = first.exposures
    assert {name: row[name] for name in ("experiment", "unit", "forced", "time")} == {
        "experiment": "tint", "unit": "u1", "forced": False, "time": NOW,
    }  # fmt: skip
    assert json.loads(row["attributes"]) == {"device": "phone"}
    assert json.loads(first.experiments) == {"tint": row["variant"]}
    again = found.place("u1", {"device": "phone"})
    assert again.exposures == ()
    assert again.placed == first.placed


def test_attributes_from_outside_never_name_the_unit(folder: Path) -> None:
    write(folder)
    assert opened(folder).place("u1", {"user": "u2"}).exposures[0]["unit"] == "u1"


def test_drafts_sessions_and_units_outside_are_in_no_experiment(folder: Path) -> None:
    write(folder, name="draft", status="draft")
    write(folder, name="by-session", unit="session")
    write(folder, name="phones", targeting={"device": "phone"})
    assert opened(folder).place("u1", {"device": "tablet", "session": "s"}) == ((), ())


def test_a_tester_is_served_and_never_counted(folder: Path) -> None:
    write(folder, forced={"tester": "warm"})
    found = opened(folder).place("tester", {})
    assert [(each.variant, each.forced) for each in found.placed] == [("warm", True)]
    assert found.exposures == ()
    assert found.experiments == "{}"


def test_new_weights_apply_from_their_moment_on(folder: Path) -> None:
    write(folder)
    with AllocationLedger(settings().control_url) as ledger:
        set_weights(parse(document(), "t"), {"control": 0.0, "warm": 1.0}, ledger, author="a", reason="r", now=NOW)
    found = opened(folder)
    before = [found.place(f"u{k}", {}, clock=at(NOW)).placed[0].variant for k in range(60)]
    after = [found.place(f"u{k}", {}, clock=at(NOW + NOTICE)).placed[0].variant for k in range(60)]
    assert set(before) == {"control", "warm"}
    assert set(after) == {"warm"}


def test_a_stopped_experiment_places_nobody(folder: Path) -> None:
    write(folder)
    experiment = parse(document(), "t")
    with AllocationLedger(settings().control_url) as ledger:
        set_weights(experiment, {}, ledger, author="a", reason="r", now=NOW, stop=True)
    found = opened(folder)
    assert found.place("u1", {}, clock=at(NOW)).placed
    assert not found.place("u1", {}, clock=at(NOW + NOTICE)).placed


def test_files_that_change_are_read_again_and_a_wrong_one_changes_nothing(folder: Path) -> None:
    write(folder)
    found = opened(folder)
    write(folder, name="second")
    found.refresh()
    assert [each.experiment for each in found.place("u1", {}).placed] == ["second", "tint"]
    (folder / "second.yaml").write_text("name: second")
    with pytest.raises(BadInputError):
        found.refresh()
    assert len(found.place("u2", {}).placed) == 2


def test_a_gateway_follows_in_the_background_and_ends(folder: Path) -> None:
    write(folder)
    with opened(folder) as found:
        assert found.place("u1", {}).placed


def test_a_sticky_unit_keeps_its_variant_over_weights_and_gateways(folder: Path) -> None:
    write(folder, sticky=True)
    with opened(folder) as first:
        before = {f"u{k}": first.place(f"u{k}", {}, clock=at(NOW)).placed[0].variant for k in range(60)}
    with AllocationLedger(settings().control_url) as ledger:
        shares = {"control": 0.0, "warm": 1.0}
        set_weights(parse(document(), "t"), shares, ledger, author="a", reason="r", now=NOW)
    second, later = opened(folder), at(NOW + timedelta(hours=1))
    assert {unit: second.place(unit, {}, clock=later).placed[0].variant for unit in before} == before
    assert {second.place(f"new{k}", {}, clock=later).placed[0].variant for k in range(30)} == {"warm"}


def test_what_stands_in_the_sticky_table_holds_for_all(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/control.db"
    with StickyTable(url) as one, StickyTable(url) as other:
        one.put("user", "u1", "tint__0", "warm")
        other.put("user", "u1", "tint__0", "control")
        one.sync()
        other.sync()
        assert other.get("user", "u1") == {"tint__0": "warm"}
        assert one.get("user", "nobody") == {}


weights = st.floats(0.0, 1.0).map(lambda share: {"control": 1.0 - share, "warm": share})


@given(weights, st.text(min_size=1, max_size=8))
def test_a_rule_of_new_weights_is_that_of_a_design_with_them(shares: dict[str, float], unit: str) -> None:
    from identity_masker.serving.allocations import AllocationDocument, AllocationRevision

    arms = {name: {"model": "m", "weight": weight} for name, weight in shares.items()}
    wanted = parse(document(variants=arms), "t")
    written = AllocationRevision("tint", 1, AllocationDocument(weights=shares, applies_from=NOW), "a", "r", "")
    rule = live(parse(document(), "t"), [written]).rule(NOW.timestamp())
    assert rule is not None
    assert assign(rule, {"user": unit}) == assign(wanted.rule, {"user": unit})
