"""From evidence to results: pure functions, on evidence made by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from scipy import stats

from identity_masker.experiments.analysis import analyse
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.evaluation import evaluate
from identity_masker.experiments.evidence import (
    ArmCounts,
    Counts,
    Evidence,
    GoalArm,
    Imbalance,
    Interaction,
    MetricEvidence,
    Reading,
)
from identity_masker.experiments.result import MetricResult
from identity_masker.statistics.sequential import asymptotic_half_width, spending_boundaries

Make = Callable[..., Experiment]
GOAL = {"name": "masks", "kind": "count", "role": "goal", "minimum_effect": 0.1}
GUARD = {"name": "slow", "kind": "mean", "role": "guardrail", "margin": 0.1, "better": "lower"}


def look(day: int, estimate: float, *, se: float = 0.5, units: float = 100.0) -> Reading:
    """A reading whose standard error falls with the square root of the days."""
    return Reading(
        day=day, control_units=units * day, treatment_units=units * day, control=1.0, treatment=1.0 + estimate,
        estimate=estimate, standard_error=se / math.sqrt(day), degrees=2 * units * day - 2,
    )  # fmt: skip


def evidence(metrics: Sequence[MetricEvidence], days: int = 5, variants: int = 2, **changes: Any) -> Evidence:
    counts = Counts(
        exposures=1000, units=1000, invalid_exposures=0, multiple_exposure=0, outside_schedule=0, outcomes=1000,
        duplicated_outcomes=0, invalid_outcomes={}, outcomes_without_unit=0, outcomes_before_exposure=0,
        metrics_without_outcomes=(),
    )  # fmt: skip
    rows = tuple(
        ArmCounts(day=day, period=0, counts=(100,) * variants, weights=(1.0 / variants,) * variants)
        for day in range(days)
    )
    base = Evidence(
        experiment="tint", timed=True, start=datetime(2026, 11, 2, tzinfo=UTC), as_of=datetime(2026, 11, 8, tzinfo=UTC),
        days=days, mature={each.name: days for each in metrics}, missing_days=(), arms=rows, counts=counts,
        metrics=tuple(metrics),
    )  # fmt: skip
    return base.model_copy(update=changes)


def series(name: str, estimates: Sequence[float], variant: str = "warm", **settings: Any) -> MetricEvidence:
    looks = tuple(look(day + 1, estimate, **settings) for day, estimate in enumerate(estimates))
    return MetricEvidence(name=name, variant=variant, looks=looks, latest=looks[-1])


def result(experiment: Experiment, found: Evidence, name: str = "masks") -> MetricResult:
    return next(each for each in analyse(experiment, found) if each.name == name)


def test_a_fixed_analysis_is_welchs_test(design: Make) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 40), rng.normal(0.5, 2, 30)
    test = stats.ttest_ind(b, a, equal_var=False)
    se = math.sqrt(a.var(ddof=1) / 40 + b.var(ddof=1) / 30)
    reading = Reading(
        day=5, control_units=40, treatment_units=30, control=a.mean(), treatment=b.mean(),
        estimate=b.mean() - a.mean(), standard_error=se, degrees=test.df,
    )  # fmt: skip
    found = evidence([MetricEvidence(name="masks", variant="warm", looks=(reading,), latest=reading)])
    analysis = {"method": "fixed", "scale": "absolute"}
    out = result(design(analysis=analysis), found)
    assert out.p_value == pytest.approx(test.pvalue, rel=1e-6)
    assert out.interval == pytest.approx(tuple(test.confidence_interval(0.95)), rel=1e-6)
    assert (out.n, out.final) == (70, True)
    assert result(design(analysis={"scale": "absolute"}), found).p_value == pytest.approx(test.pvalue, rel=1e-6)


def test_group_sequential_intervals_use_the_boundaries_of_the_looks_taken(design: Make) -> None:
    out = result(design(analysis={"scale": "absolute"}), evidence([series("masks", [0.1, 0.2, 0.15])], days=3))
    bounds = spending_boundaries([0.2, 0.4, 0.6], 0.05, 2.0, planned=1.0)
    assert [each.boundary for each in out.looks] == pytest.approx(list(bounds), rel=1e-9)
    half = stats.t.isf(stats.norm.sf(bounds[2]), 598) * 0.5 / math.sqrt(3)
    assert out.interval == pytest.approx((0.15 - half, 0.15 + half), rel=1e-9)
    assert not out.final


def test_boundary_interval_and_p_value_agree_on_significance(design: Make) -> None:
    made = design(analysis={"scale": "absolute"})
    for estimate in np.linspace(0.3, 0.9, 13):
        out = result(made, evidence([series("masks", [0.0, float(estimate)])], days=2))
        low, _ = out.interval or (None, None)
        assert ((low or 0) > 0) == ((out.p_value or 1) <= 0.05) or math.isclose(out.p_value or 1, 0.05, rel_tol=1e-4)


def test_looks_that_bring_no_new_units_are_taken_together(design: Make) -> None:
    metric = series("masks", [0.1, 0.2, 0.3])
    stale = metric.looks[1].model_copy(update={"day": 3})
    found = evidence([metric.model_copy(update={"looks": (*metric.looks[:2], stale), "latest": stale})], days=3)
    assert [each.day for each in result(design(), found).looks] == [1, 3]


def test_always_valid_analysis_reads_between_looks(design: Make) -> None:
    latest = look(4, 0.4)
    found = evidence([MetricEvidence(name="masks", variant="warm", looks=(), latest=latest)], days=4)
    made = design(analysis={"method": "always_valid", "scale": "absolute", "n_tuned": 1000})
    out = result(made, found)
    half = asymptotic_half_width(0.25 * math.sqrt(800), 800, 0.05, 1000)
    assert out.interval == pytest.approx((0.4 - half, 0.4 + half), rel=1e-2)
    scheduled = result(design(analysis={"scale": "absolute"}), found)
    assert (scheduled.status, scheduled.interval, scheduled.p_value) == ("before_the_first_look", None, None)


def test_alpha_is_split_between_scheduled_and_unscheduled_looks(design: Make) -> None:
    found = evidence([series("masks", [0.1, 0.5])], days=2)
    whole = result(design(analysis={"scale": "absolute"}), found)
    split = result(design(analysis={"scale": "absolute", "unscheduled_share": 0.3, "n_tuned": 400}), found)
    assert whole.interval_any_time is None
    assert split.interval_any_time is not None
    assert (split.interval or (0, 0))[0] < (whole.interval or (0, 0))[0]  # type: ignore[operator]
    assert (split.p_value or 0) <= (whole.p_value or 1) / 0.7 * (1 + 1e-6)


def test_p_values_of_goals_are_corrected_over_goals_and_treatments(design: Make) -> None:
    three = {name: {"model": "m", "weight": 1 / 3} for name in ("control", "warm", "cold")}
    other = {"name": "kept", "kind": "count", "role": "goal"}
    effects = {("masks", "warm"): 0.62, ("masks", "cold"): 0.1, ("kept", "warm"): 0.55, ("kept", "cold"): 0.0}
    metrics = [
        MetricEvidence(name=name, variant=variant, looks=(look(5, effect),), latest=look(5, effect))
        for (name, variant), effect in effects.items()
    ]
    made = design(variants=three, metrics=[GOAL, other], analysis={"method": "fixed", "scale": "absolute"})
    out = analyse(made, evidence(metrics, variants=3))
    p = np.array([each.p_value for each in out])
    assert [each.p_adjusted for each in out] == pytest.approx(_holm(p))
    assert out[0].verdict == "better"


def _holm(p: np.ndarray) -> list[float]:
    order = np.argsort(p)
    scaled = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(scaled, 1.0)
    return list(adjusted)


def test_a_goal_without_a_result_still_counts_in_the_correction(design: Make) -> None:
    other = {"name": "kept", "kind": "count", "role": "goal"}
    broken = look(5, 0.0).model_copy(update={"estimate": None, "standard_error": None, "problem": "zero_variance"})
    metrics = [
        series("masks", [0.1, 0.2, 0.3, 0.4, 0.5]),
        MetricEvidence(name="kept", variant="warm", looks=(broken,), latest=broken),
    ]
    out = analyse(design(metrics=[GOAL, other], analysis={"scale": "absolute"}), evidence(metrics))
    assert out[0].p_adjusted == pytest.approx(min(1.0, 2 * (out[0].p_value or 0)))
    assert (out[1].status, out[1].estimate, out[1].p_value, out[1].verdict) == (
        "zero_variance",
        None,
        None,
        "no_result",
    )


@pytest.mark.parametrize(
    ("estimate", "verdict"), [(0.0, "non_inferior"), (0.3, "inferior"), (0.1, "undecided"), (-0.3, "non_inferior")]
)
def test_guardrails_are_judged_against_their_margin(design: Make, estimate: float, verdict: str) -> None:
    guard = series("slow", [estimate] * 5, se=0.1)
    made = design(metrics=[GOAL, GUARD], analysis={"scale": "absolute"})
    assert result(made, evidence([series("masks", [0.0] * 5), guard]), "slow").verdict == verdict


def test_bayesian_reading_and_conditional_power(design: Make) -> None:
    out = result(
        design(metrics=[GOAL], analysis={"scale": "absolute"}), evidence([series("masks", [0.1, 0.3])], days=2)
    )
    assert out.chance_to_win == pytest.approx(stats.norm.cdf(0.3 / (0.5 / math.sqrt(2))))
    assert out.conditional_power is not None
    lower = GOAL | {"better": "lower"}
    down = result(
        design(metrics=[lower], analysis={"scale": "absolute"}), evidence([series("masks", [0.1, 0.3])], days=2)
    )
    assert down.chance_to_win == pytest.approx(1 - out.chance_to_win)
    assert (down.conditional_power or 0) < out.conditional_power


@pytest.mark.parametrize(
    ("masks", "slow", "days", "outcome"),
    [
        ([0.9] * 5, [0.0] * 5, 5, "ship"),
        ([0.0] * 5, [0.0] * 5, 5, "inconclusive"),
        ([-0.9] * 5, [0.0] * 5, 5, "stop_harm"),
        ([0.9] * 5, [0.6] * 5, 5, "stop_harm"),
        ([0.9] * 5, [0.11] * 5, 5, "inconclusive"),
        ([0.9, 1.2], [0.0, 0.0], 2, "ship"),
        ([0.9, 1.2], [0.1, 0.1], 2, "go_on"),
        ([0.3, 0.3], [0.0, 0.0], 2, "go_on"),
        ([-0.4, -0.4, -0.4, -0.3], [0.0] * 4, 4, "stop_futility"),
    ],
)
def test_decisions(design: Make, masks: list[float], slow: list[float], days: int, outcome: str) -> None:
    made = design(metrics=[GOAL | {"minimum_effect": 0.5}, GUARD], analysis={"scale": "absolute"})
    found = evaluate(made, evidence([series("masks", masks, se=0.5), series("slow", slow, se=0.04)], days=days))
    assert found.decision == outcome
    assert found.decision_details.sentence.endswith(".")
    assert (found.decision_details.winner == "warm") is (outcome == "ship")


def test_no_ship_before_the_least_number_of_days(design: Make) -> None:
    made = design(metrics=[GOAL], schedule={"days": 5, "minimum_days": 4}, analysis={"scale": "absolute"})
    assert evaluate(made, evidence([series("masks", [1.5, 1.5])], days=2)).decision == "go_on"
    assert evaluate(made, evidence([series("masks", [1.5] * 4)], days=4)).decision == "ship"


def test_a_harmful_treatment_is_vetoed_while_the_other_goes_on(design: Make) -> None:
    three = {name: {"model": "m", "weight": 1 / 3} for name in ("control", "warm", "cold")}
    made = design(variants=three, metrics=[GOAL | {"minimum_effect": None}], analysis={"scale": "absolute"})
    metrics = [series("masks", [-2.0, -2.0]), series("masks", [0.2, 0.2], variant="cold")]
    found = evaluate(made, evidence(metrics, days=2, variants=3))
    assert (found.decision, found.decision_details.vetoed) == ("go_on", ("warm",))


UNHEALTHY: list[tuple[dict[str, Any], str]] = [
    ({"arms": (ArmCounts(day=0, period=0, counts=(1000, 1200), weights=(0.5, 0.5)),)}, "sample_ratio"),
    (
        {"arms": tuple(ArmCounts(day=d, period=0, counts=(500, 590), weights=(0.5, 0.5)) for d in range(5))},
        "sample_ratio",
    ),
    ({"arms": (ArmCounts(day=0, period=0, counts=(1000, 3), weights=(1.0, 0.0)),)}, "sample_ratio"),
    ({"arms": (ArmCounts(day=0, period=0, counts=(1000, 0), weights=(0.5, 0.5)),)}, "arms"),
    ({"missing_days": (2,)}, "completeness"),
]


@pytest.mark.parametrize(("changes", "fault"), UNHEALTHY)
def test_an_unhealthy_experiment_gets_no_winner(design: Make, changes: dict[str, Any], fault: str) -> None:
    found = evaluate(design(metrics=[GOAL]), evidence([series("masks", [2.0] * 5)], **changes))
    assert fault in found.health.faults
    assert found.decision == ("incomplete" if fault == "completeness" else "unhealthy")
    assert found.decision_details.winner is None


@pytest.mark.parametrize(
    ("field", "value", "check", "fault"),
    [
        ("multiple_exposure", 50, "multiple_exposure", True),
        ("multiple_exposure", 5, "multiple_exposure", False),
        ("invalid_outcomes", {"masks": 3}, "invalid_data", True),
        ("invalid_exposures", 3, "invalid_data", True),
        ("outcomes_without_unit", 3, "invalid_data", True),
        ("duplicated_outcomes", 3, "duplicates", False),
        ("outcomes_before_exposure", 3, "before_exposure", False),
        ("metrics_without_outcomes", ("masks",), "outcomes_found", False),
    ],
)
def test_rows_that_were_left_out_are_flagged(design: Make, field: str, value: Any, check: str, fault: bool) -> None:
    base = evidence([series("masks", [0.1] * 5)])
    found = evaluate(design(), base.model_copy(update={"counts": base.counts.model_copy(update={field: value})}))
    assert check in (found.health.faults if fault else found.health.warnings)
    assert found.health.ok is not fault


def test_sample_ratio_is_judged_by_the_e_value_over_days_and_by_chi_square_on_one_row(design: Make) -> None:
    rows = tuple(ArmCounts(day=d, period=0, counts=(200, 240), weights=(0.5, 0.5)) for d in range(5))
    daily = evaluate(design(), evidence([series("masks", [0.1] * 5)], arms=rows)).health.sample_ratio
    assert (daily.ok, daily.p_value) == (True, pytest.approx(2.0079e-5, rel=1e-4))
    assert 100 < daily.e_value < 1000
    assert len(daily.p_values) == 5


def test_sample_ratio_follows_weights_that_change(design: Make) -> None:
    rows = (
        ArmCounts(day=0, period=0, counts=(900, 100), weights=(0.9, 0.1)),
        ArmCounts(day=1, period=1, counts=(500, 500), weights=(0.5, 0.5)),
    )
    ratio = evaluate(design(), evidence([series("masks", [0.1] * 2)], days=2, arms=rows)).health.sample_ratio
    assert ratio.ok
    assert ratio.expected == pytest.approx((1400, 600))


def test_arms_that_differed_before_exposure_are_a_fault(design: Make) -> None:
    gap = Imbalance(estimate=0.6, standard_error=0.1, units=1000)
    metric = series("masks", [0.1] * 5).model_copy(update={"imbalance": gap})
    assert "imbalance" in evaluate(design(), evidence([metric])).health.faults
    even = metric.model_copy(update={"imbalance": gap.model_copy(update={"estimate": 0.1})})
    assert evaluate(design(), evidence([even])).health.ok


@pytest.mark.parametrize(
    ("counts", "effects", "healthy"),
    [
        (((250, 250), (250, 250)), (0.1, 0.1), True),
        (((300, 200), (200, 300)), (0.1, 0.1), False),
        (((250, 250), (250, 250)), (-2.0, 2.0), False),
    ],
)
def test_interactions_with_other_experiments(
    design: Make, counts: Any, effects: tuple[float, float], healthy: bool
) -> None:
    other = Interaction(experiment="font", counts=counts, readings={"masks/warm": tuple(look(3, e) for e in effects)})
    found = evaluate(design(), evidence([series("masks", [0.1] * 5)], interactions=(other,)))
    assert found.health.ok is healthy
    assert healthy or "interaction" in found.health.faults


def bandit_evidence(values: Sequence[float], errors: Sequence[float] = (0.05, 0.05, 0.05)) -> Evidence:
    names = ("control", "warm", "cold")
    arms = tuple(
        GoalArm(variant=n, units=500, value=v, standard_error=e) for n, v, e in zip(names, values, errors, strict=True)
    )
    metrics = [series("masks", [0.01] * 2, variant=name) for name in names[1:]]
    return evidence(metrics, days=2, variants=3, goal_arms=arms)


def bandit_design(design: Make, **changes: Any) -> Experiment:
    three = {name: {"model": "m", "weight": 1 / 3} for name in ("control", "warm", "cold")}
    goal = GOAL | {"minimum_effect": None} | changes
    return design(variants=three, metrics=[goal], bandit={"floor": 0.1}, analysis={"scale": "absolute"})


@pytest.mark.parametrize(("better", "best"), [("higher", "cold"), ("lower", "control")])
def test_bandit_moves_traffic_to_the_best_arm(design: Make, better: str, best: str) -> None:
    found = evaluate(bandit_design(design, better=better), bandit_evidence([1.0, 1.1, 1.4])).allocation
    assert found is not None
    assert found.changed
    assert max(found.weights, key=found.weights.__getitem__) == best
    assert min(found.weights.values()) >= 0.1
    assert sum(found.weights.values()) == pytest.approx(1.0)
    assert max(found.p_best, key=found.p_best.__getitem__) == best


def test_bandit_waits_for_units_and_for_health(design: Make) -> None:
    made = bandit_design(design)
    few = bandit_evidence([1.0, 1.1, 1.4])
    few = few.model_copy(update={"goal_arms": tuple(a.model_copy(update={"units": 20}) for a in few.goal_arms)})
    sick = bandit_evidence([1.0, 1.1, 1.4]).model_copy(update={"missing_days": (0,)})
    for found in (few, sick):
        allocation = evaluate(made, found).allocation
        assert allocation is not None
        assert not allocation.changed
        assert list(allocation.weights.values()) == pytest.approx([1 / 3] * 3)


def test_the_same_evidence_gives_the_same_report_after_a_round_trip(design: Make) -> None:
    found = bandit_evidence([1.0, 1.1, 1.4])
    again = Evidence.model_validate_json(found.model_dump_json())
    assert evaluate(bandit_design(design), again) == evaluate(bandit_design(design), found)
