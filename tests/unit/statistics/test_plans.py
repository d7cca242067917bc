from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.plans import SequentialPlan, conditional_power, predictive_power


def paths(drift: float, looks: int, runs: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    steps = rng.normal(drift / looks, np.sqrt(1 / looks), (runs, looks))
    return np.cumsum(steps, axis=1) / np.sqrt(np.arange(1, looks + 1) / looks)


def test_inflation_factors_of_jennison_and_turnbull() -> None:
    # R(K, .05, .8), exact designs of equal looks; spending designs lie near: O'Brien-Fleming-type K = 5: 1.028.
    plan = SequentialPlan.designed(np.arange(1, 6) / 5, 0.05, "obrien_fleming")
    assert plan.inflation(0.8) == pytest.approx(1.0255, abs=2e-3)
    assert SequentialPlan.designed([1.0], 0.05).inflation(0.8) == pytest.approx(1.0, abs=1e-9)


def test_power_and_sample_agree_with_simulation() -> None:
    plan = SequentialPlan.designed(np.arange(1, 9) / 8, 0.05, 2)
    z = paths(2.8, 8, 40_000, 1)
    crossed = np.abs(z) >= plan.upper
    first = np.where(crossed.any(axis=1), crossed.argmax(axis=1), 7)
    assert plan.power(2.8) == pytest.approx(crossed.any(axis=1).mean(), abs=0.008)
    assert plan.average_information(2.8) == pytest.approx(((first + 1) / 8).mean(), abs=0.005)


def test_thirty_looks_reach_the_power_and_the_sample_that_the_issue_asks_for() -> None:
    plan = SequentialPlan.designed(np.arange(1, 31) / 30, 0.05, 2)
    drift = float(stats.norm.isf(0.025) + stats.norm.ppf(0.8))
    assert plan.power(drift) >= 0.76
    assert plan.average_information(drift) <= 0.71
    assert plan.power(0.0) == pytest.approx(0.05, abs=1e-10)


def test_futility_stops_early_without_effect_and_costs_little_power() -> None:
    plan = SequentialPlan.designed(np.arange(1, 11) / 10, 0.05, "obrien_fleming")
    drift = plan.drift_for(0.9)
    futile = plan.with_futility(drift, 0.1)
    assert futile.power(0.0) == pytest.approx(0.05, abs=1e-10)  # non-binding: alpha holds when it is ignored
    assert futile.average_information(0.0, obey_futility=True) < 0.75
    assert 0.85 < futile.power(drift, obey_futility=True) < 0.9


def test_futility_agrees_with_simulation() -> None:
    plan = SequentialPlan.designed(np.arange(1, 7) / 6, 0.05, 3).with_futility(3.0, 0.2)
    z = paths(1.5, 6, 40_000, 2)
    up, down = z >= plan.upper, z <= np.maximum(plan.lower, plan.futility)
    first_up = np.where(up.any(axis=1), up.argmax(axis=1), 99)
    first_down = np.where(down.any(axis=1), down.argmax(axis=1), 99)
    assert plan.power(1.5, obey_futility=True) == pytest.approx((first_up < first_down).mean(), abs=0.008)


def test_drift_for_inverts_the_power() -> None:
    plan = SequentialPlan.designed([0.3, 0.7, 1.0], 0.05, "pocock")
    assert plan.power(plan.drift_for(0.8)) == pytest.approx(0.8, abs=1e-8)
    with pytest.raises(BadInputError):
        plan.drift_for(0.01)


def test_conditional_power_of_a_trend_and_of_no_effect() -> None:
    assert conditional_power(1.5, 0.5, 0.0, 1.96) == pytest.approx(
        stats.norm.sf((1.96 - 1.5 * np.sqrt(0.5)) / np.sqrt(0.5)), rel=1e-12
    )
    assert conditional_power(1.5, 0.5, 3.0, 1.96) > conditional_power(1.5, 0.5, 0.0, 1.96)
    assert 0.0 < predictive_power(1.5, 0.5, 1.96) < 1.0
    with pytest.raises(BadInputError):
        conditional_power(1.5, 1.0, 0.0, 1.96)
