from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from identity_masker.errors import BadInputError, ConflictError
from identity_masker.experiments.evaluation import evaluate_files
from identity_masker.experiments.result import Allocation, Report
from identity_masker.experiments.steering import NOTICE, as_run, running, set_weights, steer, wanted
from identity_masker.serving.allocations import AllocationLedger

Make = Callable[..., Any]
NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
SHARES = {"control": 0.3, "warm": 0.7}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[AllocationLedger]:
    with AllocationLedger(f"sqlite:///{tmp_path}/control.db") as opened:
        yield opened


@pytest.fixture
def report(design: Make, world: Make) -> Callable[..., Report]:
    """A report with another decision, and weights that a bandit asks for."""
    w = world()
    w.happen("masks", 2.0)
    _, found = evaluate_files(design(), *w.files())
    asked = Allocation(weights=SHARES, changed=True, reason="top-two", p_best={}, regret={})
    return lambda decision, **changes: found.model_copy(update={"decision": decision, "allocation": asked} | changes)


@pytest.mark.parametrize("decision", ["ship", "stop_harm", "stop_futility", "inconclusive"])
def test_a_decision_that_ends_the_experiment_ends_entry(
    design: Make, report: Make, ledger: AllocationLedger, decision: str
) -> None:
    found = steer(design(), report(decision), ledger, expected=0, now=NOW)
    assert (found.written, found.state, found.weights) == (True, "stopped", {"control": 0.5, "warm": 0.5})
    assert not running(design(), ledger.history("tint"))
    assert ledger.history("tint")[0].document.applies_from == NOW + NOTICE


def test_a_bandit_that_goes_on_gets_its_weights(design: Make, report: Make, ledger: AllocationLedger) -> None:
    found = steer(design(), report("go_on"), ledger, expected=0, now=NOW)
    assert (found.written, found.state, found.weights) == (True, "running", SHARES)
    assert "top-two" in found.reason


@pytest.mark.parametrize("decision", ["unhealthy", "incomplete"])
def test_without_good_evidence_nothing_changes(
    design: Make, report: Make, ledger: AllocationLedger, decision: str
) -> None:
    assert not steer(design(), report(decision), ledger, expected=0, now=NOW).written
    assert ledger.history("tint") == []


@pytest.mark.parametrize(
    "allocation", [None, Allocation(weights=SHARES, changed=False, reason="", p_best={}, regret={})]
)
def test_an_experiment_that_goes_on_without_new_weights_stays(
    design: Make, report: Make, allocation: Allocation | None
) -> None:
    assert wanted(design(), report("go_on", allocation=allocation), [], NOW) is None


def test_drafts_and_stopped_experiments_are_left_alone(design: Make, report: Make, ledger: AllocationLedger) -> None:
    assert wanted(design(status="draft"), report("ship"), [], NOW) is None
    steer(design(), report("stop_harm"), ledger, expected=0, now=NOW)
    assert wanted(design(), report("ship"), ledger.history("tint"), NOW) is None


def test_the_same_report_again_writes_nothing(design: Make, report: Make, ledger: AllocationLedger) -> None:
    steer(design(), report("go_on"), ledger, expected=0, now=NOW)
    assert not steer(design(), report("go_on"), ledger, expected=0, now=NOW).written
    assert len(ledger.history("tint")) == 1


def test_a_write_of_somebody_else_in_between_is_a_conflict(
    design: Make, report: Make, ledger: AllocationLedger
) -> None:
    set_weights(design(), {"control": 0.9, "warm": 0.1}, ledger, author="ada", reason="careful", now=NOW)
    with pytest.raises(ConflictError, match="revision 1 by ada"):
        steer(design(), report("go_on"), ledger, expected=0, now=NOW)


def test_the_design_as_it_ran_has_the_weights_of_the_ledger(design: Make, ledger: AllocationLedger) -> None:
    later = NOW + timedelta(days=1)
    set_weights(design(), SHARES, ledger, author="ada", reason="r", now=NOW)
    set_weights(design(), {}, ledger, author="ada", reason="stop", now=later, stop=True)
    changes = as_run(design(), ledger.history("tint")).weight_changes
    assert [(each.at, each.weights) for each in changes] == [(NOW + NOTICE, SHARES)]
    assert as_run(design(), []) == design()


def test_a_person_stops_and_resumes(design: Make, ledger: AllocationLedger) -> None:
    set_weights(design(), SHARES, ledger, author="ada", reason="r", now=NOW)
    stopped = set_weights(design(), {}, ledger, author="ada", reason="night", now=NOW, stop=True)
    assert (stopped.state, stopped.weights, stopped.revision) == ("stopped", SHARES, 2)
    resumed = set_weights(design(), {}, ledger, author="ada", reason="day", now=NOW)
    assert (resumed.state, resumed.weights) == ("running", SHARES)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"control": 0.5, "warm": 0.6}, "sum to 1.1"),
        ({"control": 0.5, "cold": 0.5}, "control, warm"),
        ({"control": 2.0, "warm": -1.0}, "between 0 and 1"),
    ],
)
def test_weights_that_are_none_are_refused(
    design: Make, ledger: AllocationLedger, weights: dict[str, float], says: str
) -> None:
    with pytest.raises(BadInputError, match=says):
        set_weights(design(), weights, ledger, author="ada", reason="r", now=NOW)
    assert ledger.history("tint") == []


def test_weights_of_other_variants_in_the_ledger_are_named(design: Make, ledger: AllocationLedger) -> None:
    set_weights(design(), SHARES, ledger, author="ada", reason="r", now=NOW)
    arms = {"control": {"model": "a", "weight": 0.5}, "cold": {"model": "b", "weight": 0.5}}
    with pytest.raises(BadInputError, match=r"do not fit the design.*new name"):
        as_run(design(variants=arms), ledger.history("tint"))
