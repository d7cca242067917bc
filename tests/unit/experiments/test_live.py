from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.experiments.conftest import document

from identity_masker.errors import BadInputError
from identity_masker.experiments.assignment import assign
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.live import LiveExperiments, live
from identity_masker.experiments.steering import NOTICE, set_weights
from identity_masker.experiments.sticky_table import StickyTable
from identity_masker.serving.allocations import AllocationDocument, AllocationLedger, AllocationRevision
from identity_masker.serving.control import Control, Deployment
from identity_masker.serving.exposures import Exposure
from identity_masker.serving.routing import only
from identity_masker.settings import settings

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ARMS = {"control": {"model": "champion", "weight": 0.5}, "warm": {"model": "1.1.0", "weight": 0.5}}
VERSIONS = {"control": "1", "warm": "2"}


class Gateway(Protocol):
    def __call__(self, moment: datetime = NOW) -> LiveExperiments: ...


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "experiments"
    made.mkdir()
    return made


@pytest.fixture
def gateway(folder: Path) -> Iterator[Gateway]:
    """Makes the experiments of one gateway at a moment; versions 1 (champion) and 2 are deployed."""
    with Control(settings().control_url) as control:
        for number, semver in (("1", "1.0.0"), ("2", "1.1.0")):
            control.deploy(Deployment(version=number, semver=semver, replicas=1), author="a", reason="r")
        control.write_routing(only("1", "1.0.0"), expected=0, author="a", reason="r")
    with ExitStack() as stack:

        def made(moment: datetime = NOW) -> LiveExperiments:
            return stack.enter_context(LiveExperiments(settings().control_url, folder, clock=moment.timestamp))

        yield made


def write(folder: Path, **changes: Any) -> None:
    found = document(**{"variants": ARMS} | changes)
    (folder / f"{found['name']}.yaml").write_text(yaml.safe_dump(found))


def steer(weights: dict[str, float], *, stop: bool = False) -> None:
    with AllocationLedger(settings().control_url) as ledger:
        set_weights(Experiment.model_validate(document()), weights, ledger, author="a", reason="r", now=NOW, stop=stop)


def test_a_unit_gets_the_variant_that_assign_gives_and_its_version(folder: Path, gateway: Gateway) -> None:
    write(folder)
    rule, found = Experiment.model_validate(document()).rule, gateway()
    for unit in map(str, range(50)):
        variant = assign(rule, {"user": unit}).name
        assert found(unit, {}) == (Exposure("tint", variant, VERSIONS[variant], forced=False),)


def test_attributes_from_outside_never_name_the_unit(folder: Path, gateway: Gateway) -> None:
    write(folder)
    found = gateway()
    assert found("u1", {"user": "u2"}) == found("u1", {})


def test_drafts_sessions_and_units_outside_are_in_no_experiment(folder: Path, gateway: Gateway) -> None:
    write(folder, name="draft", status="draft")
    write(folder, name="by-session", unit="session")
    write(folder, name="phones", targeting={"device": "phone"})
    assert gateway()("u1", {"device": "tablet", "session": "s"}) == ()
    assert [each.experiment for each in gateway()("u1", {"device": "phone"})] == ["phones"]


@pytest.mark.parametrize("model", ["3", "1.2.0"])
def test_an_experiment_waits_until_every_variant_is_deployed(folder: Path, gateway: Gateway, model: str) -> None:
    write(folder, variants={**ARMS, "warm": {"model": model, "weight": 0.5}})
    with Control(settings().control_url) as control:
        found = gateway()
        if model == "3":
            assert found("u1", {}) == ()
        control.deploy(Deployment(version="3", semver="1.2.0", replicas=1), author="a", reason="r")
        found.refresh()
    assert {found(f"u{k}", {})[0].version for k in range(40)} == {"1", "3"}


def test_a_tester_is_served_and_marked(folder: Path, gateway: Gateway) -> None:
    write(folder, forced={"tester": "warm"})
    assert gateway()("tester", {}) == (Exposure("tint", "warm", "2", forced=True),)


def test_new_weights_apply_from_their_moment_on(folder: Path, gateway: Gateway) -> None:
    write(folder)
    steer({"control": 0.0, "warm": 1.0})
    before, after = gateway(NOW), gateway(NOW + NOTICE)
    assert {before(f"u{k}", {})[0].variant for k in range(60)} == {"control", "warm"}
    assert {after(f"u{k}", {})[0].variant for k in range(60)} == {"warm"}


def test_a_stopped_experiment_places_nobody(folder: Path, gateway: Gateway) -> None:
    write(folder)
    steer({}, stop=True)
    assert gateway(NOW)("u1", {})
    assert not gateway(NOW + NOTICE)("u1", {})


def test_files_that_change_are_read_again_and_a_wrong_one_changes_nothing(folder: Path, gateway: Gateway) -> None:
    write(folder)
    found = gateway()
    write(folder, name="second")
    found.refresh()
    assert [each.experiment for each in found("u1", {})] == ["second", "tint"]
    (folder / "second.yaml").write_text("name: second")
    with pytest.raises(BadInputError):
        found.refresh()
    assert len(found("u2", {})) == 2


def test_masking_goes_on_without_experiments_while_a_file_or_the_database_is_broken(folder: Path) -> None:
    write(folder)
    with LiveExperiments(f"sqlite:///{folder}/tint.yaml/control.db", folder) as found:
        assert found("u1", {}) == ()
    (folder / "broken.yaml").write_text("name: broken")
    with LiveExperiments(settings().control_url, folder) as found:
        assert found("u1", {}) == ()


def test_a_sticky_unit_keeps_its_variant_over_weights_and_gateways(folder: Path, gateway: Gateway) -> None:
    write(folder, sticky=True)
    first = gateway(NOW)
    before = {f"u{k}": first(f"u{k}", {})[0].variant for k in range(60)}
    first.refresh()
    steer({"control": 0.0, "warm": 1.0})
    second = gateway(NOW + timedelta(hours=1))
    assert {unit: second(unit, {})[0].variant for unit in before} == before
    assert {second(f"new{k}", {})[0].variant for k in range(30)} == {"warm"}


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
    arms = {name: {"model": "m", "weight": weight} for name, weight in shares.items()}
    wanted = Experiment.model_validate(document(variants=arms))
    written = AllocationRevision("tint", 1, AllocationDocument(weights=shares, applies_from=NOW), "a", "r", "")
    rule = live(Experiment.model_validate(document()), [written], ("1", "2")).rule(NOW.timestamp())
    assert rule is not None
    assert assign(rule, {"user": unit}) == assign(wanted.rule, {"user": unit})
