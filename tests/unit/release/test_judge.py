from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.release.world import policy

from identity_masker.errors import BadInputError
from identity_masker.release.evidence import Evidence, parse_evidence
from identity_masker.release.judge import judge, trace
from identity_masker.release.policy import Policy, load_policy
from identity_masker.release.verdict import Verdict
from identity_masker.settings import PROJECT

BOUNDS = [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0]
SHIPPED = PROJECT / "include" / "config" / "release"


class Traffic:
    """Intervals in which each arm fails and takes as long as it is told."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def arm(self, requests: int, errors: float, scale: float = 1.0, leak: float | None = None) -> dict[str, Any]:
        took = np.searchsorted(BOUNDS, 40.0 * scale * self.rng.lognormal(0.0, 0.4, requests))
        found: dict[str, Any] = {
            "requests": requests,
            "errors": int(self.rng.binomial(requests, errors)),
            "latency_ms": {"bounds": BOUNDS, "counts": np.bincount(took, minlength=len(BOUNDS) + 1).tolist()},
        }
        if leak is not None:
            values = self.rng.gamma(2.0, leak / 2.0, 50)
            found["leak"] = {"n": 50, "mean": float(values.mean()), "var": float(values.var())}
        return found

    def evidence(self, intervals: int, champion: dict[str, Any], canary: dict[str, Any], **more: Any) -> Evidence:
        rows = [
            {"seconds": 10, "arms": {"champion": self.arm(**champion), "canary": self.arm(**canary)}, **more}
            for _ in range(intervals)
        ]
        found = parse_evidence({"intervals": rows})
        assert isinstance(found, Evidence)
        return found


def good(requests: int = 2000) -> dict[str, Any]:
    return {"requests": requests, "errors": 0.005}


def test_no_difference_promotes_once_there_is_enough() -> None:
    found = judge(policy(), Traffic().evidence(20, good(), good()))
    assert found.verdict == "promote"
    assert {metric.name: metric.state for metric in found.metrics if metric.name == "errors"} == {"errors": "not_worse"}


def test_a_canary_that_fails_more_is_rolled_back_with_the_metric_named() -> None:
    found = judge(policy(), Traffic().evidence(4, good(), {"requests": 2000, "errors": 0.05}))
    assert found.verdict == "roll_back"
    assert "errors" in " ".join(found.reasons)
    assert found.e_value >= found.threshold
    errors = next(metric for metric in found.metrics if metric.name == "errors")
    assert errors.state == "worse"
    assert errors.interval is not None
    assert errors.interval[0] > 1.0


def test_a_slow_canary_is_rolled_back() -> None:
    found = judge(policy(), Traffic().evidence(12, good(), {**good(), "scale": 3.0}))
    assert found.verdict == "roll_back"


def test_an_incident_that_hits_both_arms_condemns_nobody_and_promotes_nobody() -> None:
    burning = {"requests": 2000, "errors": 0.3}
    found = judge(policy(), Traffic().evidence(10, burning, burning))
    assert found.verdict == "hold"
    assert "both arms burn" in " ".join(found.reasons)


@pytest.mark.parametrize(
    "arms",
    [
        {},
        {"champion": {"requests": 100, "errors": 0}},
        {"champion": {"requests": 100, "errors": 0}, "canary": {"requests": 0, "errors": 0}},
        {"champion": {"requests": 100, "errors": 0}, "canary": None},
        {"champion": {"requests": 100}, "canary": {"requests": 100}},
    ],
)
def test_missing_data_holds(arms: dict[str, Any]) -> None:
    found = judge(policy(), parse_evidence({"intervals": [{"seconds": 10, "arms": arms}] * 6}))
    assert found.verdict == "hold"
    assert not found.checks[0].ok


def test_without_any_interval_it_holds() -> None:
    assert judge(policy(), parse_evidence({"intervals": []})).verdict == "hold"


def test_data_that_stops_coming_in_the_middle_never_promotes_and_never_rolls_back() -> None:
    before = Traffic().evidence(2, good(300), good(300))
    silent = parse_evidence({"intervals": [{"seconds": 10, "arms": {}}] * 200})
    assert isinstance(silent, Evidence)
    found = judge(policy(), before.model_copy(update={"intervals": before.intervals + silent.intervals}))
    assert found.verdict == "hold"
    assert found.ask


def test_a_split_that_is_not_the_asked_one_is_not_promoted() -> None:
    found = judge(policy(), Traffic().evidence(20, good(8000), good(2000), share=0.5))
    assert found.verdict == "hold"
    assert "sample" in " ".join(check.name for check in found.checks if not check.ok)


def test_at_the_deadline_the_policy_decides() -> None:
    unclear = Traffic().evidence(8, good(20), good(20))
    asked = judge(policy(deadline={"seconds": 60, "then": "ask"}), unclear)
    assert (asked.verdict, asked.ask) == ("hold", True)
    assert judge(policy(deadline={"seconds": 60, "then": "roll_back"}), unclear).verdict == "roll_back"


def test_a_doubled_leak_is_rolled_back() -> None:
    leaking = load_policy(SHIPPED / "canary.yaml")
    found = judge(leaking, Traffic().evidence(60, {**good(), "leak": 0.02}, {**good(), "leak": 0.04}))
    assert found.verdict == "roll_back"
    assert "leak" in " ".join(found.reasons)


def words(found: Policy, evidence: Evidence) -> list[str]:
    return [look.verdict for look in trace(found, evidence)]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), errors=st.sampled_from([0.0, 0.01, 0.03]), looks=st.integers(1, 8))
def test_the_verdict_on_a_prefix_is_the_one_that_was_given_then(seed: int, errors: float, looks: int) -> None:
    evidence = Traffic(seed).evidence(8, good(400), {"requests": 400, "errors": errors})
    prefix = evidence.model_copy(update={"intervals": evidence.intervals[:looks]})
    assert judge(policy(), prefix).verdict == words(policy(), evidence)[looks - 1]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), exponent=st.integers(-6, 6), slower=st.sampled_from([1.0, 1.5, 2.5]))
def test_no_verdict_depends_on_the_unit_of_time(seed: int, exponent: int, slower: float) -> None:
    plain = Traffic(seed).evidence(6, good(500), {**good(500), "scale": slower})
    document = plain.model_dump(mode="json")
    for interval in document["intervals"]:
        for arm in interval["arms"].values():
            histogram = arm["measures"]["latency_ms"]
            histogram["bounds"] = [bound * 10.0**exponent for bound in histogram["bounds"]]
    scaled = parse_evidence(document)
    assert isinstance(scaled, Evidence)
    assert words(policy(), scaled) == words(policy(), plain)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_same_evidence_gives_the_same_document(seed: int) -> None:
    evidence = Traffic(seed).evidence(5, good(300), good(300))
    first: Verdict = judge(policy(), evidence)
    assert judge(policy(), Evidence.model_validate_json(evidence.model_dump_json())) == first


def test_slices_that_fail_count_although_the_whole_looks_alike() -> None:
    traffic = Traffic()
    rows = []
    for _ in range(20):
        arms = {name: traffic.arm(2000, 0.01) for name in ("champion", "canary")}
        for name, (dark, light) in {"champion": (0.01, 0.01), "canary": (0.10, 0.005)}.items():
            arms[name]["slices"] = {
                "skin=dark": {"requests": 100, "errors": int(traffic.rng.binomial(100, dark))},
                "skin=light": {"requests": 1900, "errors": int(traffic.rng.binomial(1900, light))},
            }
        rows.append({"seconds": 10, "arms": arms})
    found = judge(policy(), parse_evidence({"intervals": rows}))
    assert found.verdict == "roll_back"
    errors = next(metric for metric in found.metrics if metric.name == "errors")
    assert max(errors.slices, key=lambda each: each.e_value).name == "skin=dark"


def test_a_metric_of_the_evidence_with_its_direction_is_judged_too() -> None:
    def arm(rate: float) -> dict[str, Any]:
        return {"requests": 1000, "errors": 0, "smiles": {"n": 1000, "events": round(1000 * rate)}}

    rows = [{"seconds": 10, "arms": {"champion": arm(0.6), "canary": arm(0.2)}}] * 20
    found = judge(policy(), parse_evidence({"metrics_direction": {"smiles": "higher"}, "intervals": rows}))
    assert found.verdict == "roll_back"
    with pytest.raises(BadInputError, match=r"unknown metric smiles.*metrics_direction"):
        judge(policy(), parse_evidence({"intervals": rows}))


def test_a_direction_against_the_policy_is_refused() -> None:
    rows = [{"seconds": 10, "arms": {"champion": {"requests": 1, "errors": 0}, "canary": {"requests": 1, "errors": 0}}}]
    with pytest.raises(BadInputError, match="disagree about errors"):
        judge(policy(), parse_evidence({"metrics_direction": {"errors": "higher"}, "intervals": rows}))
