from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.drift.tables import QUICK, evidence, normal, quick

from identity_masker.drift.evidence import Evidence
from identity_masker.drift.verdict import Verdict, judge


def _judge(before: dict[str, Any], now: dict[str, Any], **changes: Any) -> Verdict:
    policy = quick(**changes)
    return judge(evidence(before, now, policy), policy)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_large_significant_change_is_drift_and_named() -> None:
    rng = _rng()
    found = _judge(normal(rng, 1_000), normal(rng, 1_000, c1=0.4))
    assert (found.verdict, found.causes) == ("drift", ("distribution",))
    assert [column.name for column in found.columns if column.drift] == ["c1"]
    assert found.reasons[0].startswith("c1: effect 0.4")


def test_without_change_there_is_no_drift() -> None:
    rng = _rng(1)
    assert _judge(normal(rng, 1_000), normal(rng, 300)).verdict == "no_drift"


def test_a_certain_change_below_its_floor_is_no_drift() -> None:
    rng = _rng(2)
    before, now = normal(rng, 90_000, 1), normal(rng, 90_000, 1, c0=0.04)
    found = _judge(before, now).columns[0]
    assert (found.significant, found.large, found.drift) == (True, False, False)
    strict = {"c0": {"floor": 0.01}}
    assert _judge(before, now, columns=strict).verdict == "drift"


def test_a_large_change_that_may_be_chance_is_no_drift() -> None:
    rng = _rng(3)
    before = {"c0": rng.normal(size=40)}
    now = {"c0": rng.normal(0.3, 1, size=40)}
    found = _judge(before, now).columns[0]
    assert (found.significant, found.large, found.drift) == (False, True, False)


@pytest.mark.parametrize("rows", [0, 1, 29])
@pytest.mark.parametrize("side", ["reference", "current"])
def test_few_rows_on_either_side_are_not_enough_data(rows: int, side: str) -> None:
    rng = _rng(4)
    tables = {"reference": normal(rng, 100), "current": normal(rng, 100)}
    tables[side] = normal(rng, rows)
    found = _judge(tables["reference"], tables["current"])
    assert found.verdict == "not_enough_data"
    assert f"{rows} rows" in found.reasons[0] or f"and {rows} in" in found.reasons[0]


def test_other_columns_and_other_kinds_are_a_changed_schema() -> None:
    rng = _rng(5)
    before = normal(rng, 100) | {"k": ["a", "b"] * 50}
    lost = _judge(before, {name: before[name] for name in ("c0", "c1", "k")})
    assert (lost.verdict, lost.reasons[0]) == ("schema_changed", "column c2 is missing from the current window")
    new = _judge(before, before | {"c9": before["c0"]})
    assert (new.verdict, new.reasons[0]) == ("schema_changed", "column c9 is not in the reference")
    words = _judge(before, before | {"c0": ["1", "two"] * 50})
    assert (words.verdict, words.reasons[0]) == ("schema_changed", "column c0 was numeric and is category")
    optional = _judge(before, before | {"c9": before["c0"]}, columns={"c9": {"optional": True}})
    assert optional.verdict == "no_drift"


def test_an_empty_window_is_not_enough_data_whatever_its_types() -> None:
    before = normal(_rng(6), 100)
    found = _judge(before, {"c0": pa.array([], pa.string())})
    assert found.verdict == "not_enough_data"
    assert len(found.reasons) > 1


def test_a_column_that_went_missing_is_drift_of_quality() -> None:
    rng = _rng(7)
    before = normal(rng, 200)
    for gone in ([None] * 200, [math.nan] * 200):
        found = _judge(before, normal(rng, 200) | {"c1": gone})
        assert (found.verdict, found.causes) == ("drift", ("quality",))
        assert "missing values in 100 % of the rows, 0 % in the reference" in found.reasons[0]


def test_a_few_more_missing_values_are_below_the_floor() -> None:
    rng = _rng(8)
    now = normal(rng, 20_000)
    now["c0"][:200] = math.nan
    assert _judge(normal(rng, 20_000), now).verdict == "no_drift"


def test_columns_that_are_missing_on_both_sides_leave_nothing_to_test() -> None:
    found = _judge({"a": [None] * 50, "b": [math.nan] * 50}, {"a": [None] * 50, "b": [math.nan] * 50})
    assert found.verdict == "not_enough_data"
    assert found.reasons[0] == "no column has enough values to be tested"


def test_impossible_values_are_a_fault() -> None:
    rng = _rng(9)
    before, now = {"x": rng.random(200)}, {"x": rng.random(200)}
    now["x"][:10] = -1.0
    found = _judge(before, now, columns={"x": {"low": 0.0}})
    assert found.verdict == "drift"
    assert "quality" in found.causes
    assert any(finding.severity == "fault" for finding in found.findings)


def test_constant_columns_are_told() -> None:
    found = _judge({"x": [1.0] * 50}, {"x": [1.0] * 50})
    assert (found.verdict, found.findings[0].text) == ("no_drift", "constant on both sides")


def test_levels_shrink_with_the_stated_rate() -> None:
    rng = _rng(10)
    now = normal(rng, 500, c0=0.35)
    before = normal(rng, 500)
    often = _judge(before, now, false_alarms={"nights": 10})
    seldom = _judge(before, now, false_alarms={"nights": 100_000})
    assert (often.verdict, seldom.verdict) == ("drift", "no_drift")
    assert often.alphas["columns"] == pytest.approx(0.08)


def test_max_statistic_finds_what_moves_together() -> None:
    rng = _rng(11)

    def together(shift: float) -> dict[str, np.ndarray]:
        common = rng.normal(size=(500, 1))
        values = common + 0.05 * rng.normal(size=(500, 20)) + shift
        return {f"c{index}": values[:, index] for index in range(20)}

    before, now = together(0.0), together(0.32)
    changes = {"across_columns": "max_statistic", "permutations": 999}
    found = _judge(before, now, false_alarms=changes)
    assert found.verdict == "drift"
    assert all(column.adjusted_p_value is not None and column.adjusted_p_value < 0.01 for column in found.columns)
    alike = _judge(before, together(0.0), false_alarms=changes)
    assert alike.verdict == "no_drift"


def test_effective_columns_are_told() -> None:
    rng = _rng(12)
    base = rng.normal(size=300)
    copies = {f"c{index}": base + index for index in range(5)}
    assert evidence(copies, copies).effective_columns == pytest.approx(1.0, abs=0.01)


def test_stored_evidence_gives_the_same_verdict_again() -> None:
    rng = _rng(13)
    before = normal(rng, 300) | {"k": rng.choice(["a", "b"], 300), "e": rng.normal(size=(300, 4))}
    now = normal(rng, 300, c0=1.0) | {"k": rng.choice(["a", "c"], 300), "e": rng.normal(size=(300, 4)) + 1}
    made = evidence(before, now)
    again = Evidence.model_validate_json(made.model_dump_json())
    assert again == made
    assert judge(again, QUICK) == judge(made, QUICK)
    assert judge(made, QUICK).verdict == "drift"


def test_a_night_without_drift_seldom_alarms_over_all_columns() -> None:
    # A stated rate of one night in ten, so that 100 nights show it.
    rng, alarms, nights = _rng(14), 0, 100
    for _ in range(nights):
        before, now = normal(rng, 300, 6), normal(rng, 120, 6)
        found = _judge(before, now, false_alarms={"nights": 10}, floors={"numeric": 0.0})
        alarms += found.verdict == "drift"
    assert alarms <= nights * 0.1 + 2.5 * math.sqrt(nights * 0.09)
