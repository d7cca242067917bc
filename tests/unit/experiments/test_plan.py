from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.plan import plan, traffic_of
from identity_masker.statistics import power

Make = Callable[..., Experiment]
SIGN_UP = {"name": "signed", "kind": "proportion", "role": "goal", "minimum_effect": 0.01, "baseline": {"mean": 0.1}}
SPEND = {"name": "spent", "kind": "mean", "role": "goal", "minimum_effect": 0.2, "baseline": {"mean": 10.0, "sd": 1.0}}
FIXED = {"method": "fixed", "scale": "absolute", "window": "1d"}


def test_a_fixed_plan_of_a_proportion_is_the_closed_form(design: Make) -> None:
    n = power.sample_size_proportions(0.1, 0.11, method="unpooled")
    made = plan(design(metrics=[SIGN_UP], analysis=FIXED, schedule={"days": 10, "units_per_day": n / 5}))
    (row,) = made.metrics
    assert row.power == pytest.approx(0.8, abs=2e-6)  # the other tail, which the closed form leaves out
    assert row.units_needed == pytest.approx(2 * n, rel=1e-4)
    assert row.detectable_effect == pytest.approx(0.01, rel=1e-4)
    assert row.days_needed == pytest.approx(11, rel=1e-4)


def test_a_fixed_plan_of_a_mean_is_the_z_test(design: Make) -> None:
    made = plan(design(metrics=[SPEND], analysis=FIXED, schedule={"days": 10, "units_per_day": 100}))
    assert made.metrics[0].power == pytest.approx(power.power_means(500, 0.2, method="z"), rel=1e-9)


def test_more_looks_cost_power_and_save_sample(design: Make) -> None:
    schedule = {"days": 30, "units_per_day": 2 * 392.44 / 30, "minimum_days": 0}
    fixed = plan(design(metrics=[SPEND], analysis=FIXED, schedule=schedule)).metrics[0]
    daily = plan(design(metrics=[SPEND], analysis=FIXED | {"method": "group_sequential"}, schedule=schedule)).metrics[0]
    always = plan(design(metrics=[SPEND], analysis=FIXED | {"method": "always_valid"}, schedule=schedule)).metrics[0]
    assert fixed.power == pytest.approx(0.8, abs=1e-4)
    assert daily.power == pytest.approx(0.7623, abs=2e-3)
    assert daily.average_share_of_sample == pytest.approx(0.706, abs=2e-3)
    assert (always.power or 1) < 0.6


def test_relative_effects_take_the_variance_of_the_control_along(design: Make) -> None:
    analysis = FIXED | {"scale": "relative"}
    relative = SPEND | {"minimum_effect": 0.02}
    row = plan(design(metrics=[relative], analysis=analysis, schedule={"days": 10, "units_per_day": 100})).metrics[0]
    drift = 0.02 / math.sqrt(power.relative_variance(1, 10, 500, 1, 10.2, 500))
    expected = stats.norm.sf(1.959964 - drift) + stats.norm.cdf(-1.959964 - drift)
    assert row.power == pytest.approx(expected, abs=1e-6)


def test_cuped_narrows_by_the_correlation(design: Make) -> None:
    adjusted = SPEND | {"baseline": {"mean": 10.0, "sd": 1.0, "correlation": 0.6}, "covariate": "7d"}
    rows = [plan(design(metrics=[m], analysis=FIXED)).metrics[0] for m in (SPEND, adjusted)]
    assert (rows[1].units_needed or 0) / (rows[0].units_needed or 1) == pytest.approx(1 - 0.36)


def test_goals_share_alpha_guardrails_do_not(design: Make) -> None:
    guard = {"name": "slow", "kind": "mean", "role": "guardrail", "margin": 0.2, "baseline": {"mean": 10.0, "sd": 1.0}}
    three = {name: {"model": "m", "weight": 1 / 3} for name in ("a", "b", "c")}
    made = plan(design(metrics=[SPEND, guard], analysis=FIXED, variants=three))
    assert made.alpha_each == pytest.approx(0.025)
    by_role = {row.role: row for row in made.metrics}
    assert (by_role["guardrail"].power or 0) > (by_role["goal"].power or 1)


def test_unscheduled_looks_take_their_part_of_alpha(design: Make) -> None:
    made = plan(design(metrics=[SPEND], analysis={"unscheduled_share": 0.2, "scale": "absolute"}))
    assert (made.alpha_scheduled, made.alpha_unscheduled) == pytest.approx((0.04, 0.01))


def test_traffic_is_what_targeting_layer_holdout_and_coverage_leave(design: Make) -> None:
    made = design(
        coverage=0.5,
        layer={"name": "look", "slot": [0.0, 0.4]},
        holdout={"name": "winter", "share": 0.1},
        schedule={"days": 10, "units_per_day": 1000, "eligible_share": 0.3},
    )
    assert traffic_of(made).daily == pytest.approx(1000 * 0.3 * 0.5 * 0.4 * 0.9)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"metrics": [SIGN_UP]}, "it takes .* units"),
        ({"metrics": [SPEND | {"baseline": None}]}, "baseline"),
        ({"metrics": [SPEND | {"baseline": {"mean": 10.0}}]}, "baseline"),
        ({"metrics": [SPEND | {"minimum_effect": None}]}, "minimum_effect"),
        ({"metrics": [SIGN_UP | {"minimum_effect": 0.95}]}, "outside 0 to 1"),
        (
            {"metrics": [SPEND | {"baseline": {"mean": 0.0, "sd": 1.0}}], "analysis": {"scale": "relative"}},
            "baseline of 0",
        ),
        ({"metrics": [SPEND], "schedule": {"days": 5, "minimum_days": 7, "units_per_day": 1e6}}, "minimum_days"),
        (
            {"variants": {"a": {"model": "m", "weight": 1.0}, "b": {"model": "m", "weight": 0.0}}, "metrics": [SPEND]},
            "no units",
        ),
    ],
)
def test_a_plan_that_cannot_answer_says_why(design: Make, changes: dict[str, Any], says: str) -> None:
    made = plan(design(**changes))
    assert not made.answerable
    assert any(re.search(says, reason) for reason in made.reasons), made.reasons


def test_a_good_plan_is_answerable_and_without_traffic_there_is_none(design: Make) -> None:
    assert plan(design(metrics=[SPEND])).answerable
    with pytest.raises(BadInputError, match="units a day"):
        plan(design(schedule={"days": 5}))
    with pytest.raises(BadInputError):
        plan(design(), units_per_day=-5)


def test_a_lower_goal_plans_for_a_fall(design: Make) -> None:
    fewer = SIGN_UP | {"better": "lower"}
    row = plan(design(metrics=[fewer], analysis=FIXED, schedule={"days": 9, "units_per_day": 9000})).metrics[0]
    assert row.effect == -0.01
    rise = plan(design(metrics=[SIGN_UP], analysis=FIXED, schedule={"days": 9, "units_per_day": 9000})).metrics[0]
    assert (row.power or 0) > (rise.power or 1)  # .10 to .09 varies less than .10 to .11


def test_futility_bounds_rise_towards_the_end(design: Make) -> None:
    made = plan(design(metrics=[SPEND], schedule={"days": 8, "minimum_days": 0, "units_per_day": 150}))
    bounds = [bound for bound in made.futility_z if bound is not None]
    assert bounds == sorted(bounds)
    assert len(bounds) == 8
    assert made.z_bounds[-1] == pytest.approx(bounds[-1])
