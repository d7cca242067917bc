from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.experiments import hashing
from identity_masker.experiments.assignment import (
    Rule,
    assign,
    assign_all,
    bucket,
    bucket_ranges,
    choose,
    in_namespace,
)
from identity_masker.experiments.exposure import ExposureLog, propensity
from identity_masker.experiments.sticky import MemoryStickyStore, assign_sticky
from identity_masker.experiments.targeting import compiled

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "growthbook_bucketing.json").read_text())
UNITS = [f"user-{k}" for k in range(20_000)]
HALVES = tuple(bucket_ranges(2))
texts = st.text(max_size=30)


def rule(**changes: Any) -> Rule:
    return Rule(**({"key": "tint", "variants": ("control", "warm"), "ranges": HALVES} | changes))


@pytest.mark.parametrize("case", VECTORS["hash"], ids=str)
def test_growthbook_hash(case: dict[str, Any]) -> None:
    assert bucket(case["seed"], case["value"], case["version"]) == case["expected"]


@pytest.mark.parametrize("case", VECTORS["getBucketRange"], ids=lambda case: case["name"])
def test_growthbook_bucket_ranges(case: dict[str, Any]) -> None:
    found = bucket_ranges(case["numVariations"], case["coverage"], case["weights"])
    np.testing.assert_allclose(found, case["expected"], atol=1e-12)


@pytest.mark.parametrize("case", VECTORS["chooseVariation"], ids=lambda case: case["name"])
def test_growthbook_choose(case: dict[str, Any]) -> None:
    assert choose(case["n"], case["ranges"]) == case["expected"]


@pytest.mark.parametrize("case", VECTORS["inNamespace"], ids=lambda case: case["name"])
def test_growthbook_namespace(case: dict[str, Any]) -> None:
    assert in_namespace(case["userId"], case["namespace"]) is case["expected"]


@pytest.mark.parametrize(("n", "weights"), VECTORS["getEqualWeights"])
def test_growthbook_equal_weights(n: int, weights: list[float]) -> None:
    np.testing.assert_allclose([high - low for low, high in bucket_ranges(n)], weights, atol=1e-8)


@pytest.mark.parametrize("case", VECTORS["run_subset"], ids=lambda case: case["name"])
def test_growthbook_run(case: dict[str, Any]) -> None:
    experiment, count = case["experiment"], len(case["experiment"]["variations"])
    ranges = bucket_ranges(count, experiment.get("coverage", 1.0), experiment.get("weights"))
    made = Rule(
        key=experiment["key"], variants=tuple(map(str, range(count))), ranges=tuple(ranges),
        hash_version=experiment.get("hashVersion", 1), attribute="id", force=experiment.get("force"),
    )  # fmt: skip
    found = assign(made, case["context"]["attributes"])
    assert (found.variant, found.included) == (case["expectedValue"], case["inExperiment"])


@pytest.mark.parametrize("case", VECTORS["stickyBucket_subset"], ids=lambda case: case[0])
def test_growthbook_sticky_buckets(case: list[Any]) -> None:
    _, context, documents, feature, expected, after = case
    (given_rule,) = context["features"][feature]["rules"]
    count = len(given_rule["variations"])
    made = Rule(
        key=given_rule.get("key", feature), seed=given_rule.get("seed", ""), variants=tuple(map(str, range(count))),
        ranges=tuple(bucket_ranges(count, given_rule.get("coverage", 1.0), given_rule.get("weights"))),
        hash_version=given_rule.get("hashVersion", 1), attribute=given_rule["hashAttribute"],
        fallback=given_rule.get("fallbackAttribute"), condition=compiled(given_rule.get("condition", {})),
        sticky=True, bucket_version=given_rule.get("bucketVersion", 0),
    )  # fmt: skip
    store = MemoryStickyStore()
    for document in documents:
        for key, variant in document["assignments"].items():
            store.put(document["attributeName"], document["attributeValue"], key, variant)
    found = assign_sticky(made, context["attributes"], store)
    assert found.name == expected["key"]
    assert (found.reason == "sticky") is expected["stickyBucketUsed"]
    assert (found.attribute, found.unit) == (expected["hashAttribute"], expected["hashValue"])
    assert found.bucket == expected["bucket"]
    kept = {f"{attribute}||{value}": stored for (attribute, value), stored in store.documents.items()}
    assert kept == {name: document["assignments"] for name, document in after.items()}


@given(st.lists(texts, max_size=20), texts, st.sampled_from([1, 2]))
def test_arrays_hash_as_single_values(values: list[str], seed: str, version: int) -> None:
    found = hashing.buckets(seed, values, version)
    assert found is not None
    assert found.tolist() == [bucket(seed, value, version) for value in values]
    assert hashing.positions(seed, values).tolist() == [hashing.position(seed, value) for value in values]


def test_characters_beyond_16_bits_hash_as_in_javascript() -> None:
    # The two UTF-16 code units of U+1F600, one after the other.
    units = [0xD83D, 0xDE00]
    state = hashing.FNV_OFFSET
    for unit in units:
        state = ((state ^ unit) * hashing.FNV_PRIME) & 0xFFFFFFFF
    assert hashing.fnv1a32("\U0001f600") == state


def test_arrays_are_assigned_as_single_units() -> None:
    full = rule(
        layer="look", slot=(0.2, 0.7), holdout=("winter", 0.1), ranges=tuple(bucket_ranges(2, 0.8, [0.3, 0.7])),
        forced={"user-7": "warm"},
    )  # fmt: skip
    found = assign_all(full, UNITS[:3000])
    single = [assign(full, {"user": unit}) for unit in UNITS[:3000]]
    assert found.tolist() == [each.variant if each.included else -1 for each in single]


def test_weights_are_met() -> None:
    found = assign_all(rule(ranges=tuple(bucket_ranges(2, 1.0, [0.3, 0.7]))), UNITS)
    assert stats.binomtest(int(np.sum(found == 0)), len(UNITS), 0.3).pvalue > 1e-4


@given(st.floats(0, 1), st.floats(0, 1))
def test_lower_coverage_moves_no_unit_to_another_variant(one: float, other: float) -> None:
    small, large = sorted((one, other))
    few, many = (assign_all(rule(ranges=tuple(bucket_ranges(2, c, [0.4, 0.6]))), UNITS[:500]) for c in (small, large))
    assert np.all((few == -1) | (few == many))


def test_layers_and_variants_are_pairwise_independent() -> None:
    names = [f"layer-{k}" for k in range(6)]
    halves = {name: hashing.positions(name, UNITS) < 0.5 for name in names}
    for seed in ("seed-0", "seed-1", "seed-2"):
        points = hashing.buckets(seed, UNITS)
        assert points is not None
        halves[seed] = points < 0.5
    p = [
        stats.chi2_contingency(np.histogram2d(halves[a], halves[b], bins=2)[0], correction=False).pvalue
        for a, b in combinations(halves, 2)
    ]
    assert min(p) > 0.05 / len(p) / 5
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_growthbook_namespaces_are_dependent_which_is_why_layers_have_their_own_hash() -> None:
    one, two = (hashing.buckets(f"__ns{k}", UNITS, 1) for k in (1, 2))
    assert one is not None
    assert two is not None
    table = np.histogram2d(one < 0.5, two < 0.5, bins=2)[0]
    assert stats.chi2_contingency(table, correction=False).pvalue < 1e-6


def test_experiments_of_one_layer_share_no_unit() -> None:
    one, two = (
        assign_all(rule(key=k, layer="look", slot=slot), UNITS) for k, slot in (("a", (0, 0.5)), ("b", (0.5, 1)))
    )
    assert not np.any((one >= 0) & (two >= 0))
    assert np.all((one >= 0) | (two >= 0))


def test_holdout_units_are_in_no_experiment_of_the_holdout() -> None:
    many = [assign_all(rule(key=f"e{k}", holdout=("winter", 0.2)), UNITS) for k in range(3)]
    outside = np.all(np.array(many) == -1, axis=0)
    assert outside.mean() == pytest.approx(0.2, abs=0.02)
    assert np.array_equal(outside, np.any(np.array(many) == -1, axis=0))


@pytest.mark.parametrize(
    ("changes", "attributes", "reason", "included"),
    [
        ({}, {"user": "user-1"}, "assigned", True),
        ({}, {}, "no_unit", False),
        ({}, {"user": ""}, "no_unit", False),
        ({}, {"user": None}, "no_unit", False),
        ({"active": False}, {"user": "a"}, "inactive", False),
        ({"forced": {"a": "warm"}}, {"user": "a"}, "forced", False),
        ({"holdout": ("winter", 0.999999)}, {"user": "a"}, "holdout", False),
        ({"layer": "look", "slot": (0.0, 1e-9)}, {"user": "a"}, "layer", False),
        ({"condition": compiled({"device": "phone"})}, {"user": "a", "device": "tv"}, "targeting", False),
        ({"ranges": ((0.0, 0.0), (0.5, 0.5))}, {"user": "a"}, "coverage", False),
        ({"hash_version": 9}, {"user": "a"}, "unknown_hash", False),
        ({"fallback": "session"}, {"session": "s1"}, "assigned", True),
        ({}, {"user": 17}, "assigned", True),
    ],
)
def test_reasons(changes: dict[str, Any], attributes: dict[str, Any], reason: str, included: bool) -> None:
    found = assign(rule(**changes), attributes)
    assert (found.reason, found.included) == (reason, included)
    if not included and reason != "forced":
        assert found.variant == 0


def test_forced_variant_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(BadInputError):
        assign(rule(forced={"a": "cold"}), {"user": "a"})


def test_sticky_unit_keeps_its_variant_when_weights_change_and_targeting_no_longer_holds() -> None:
    store = MemoryStickyStore()
    before = rule(sticky=True, condition=compiled({"device": "phone"}))
    first = {unit: assign_sticky(before, {"user": unit, "device": "phone"}, store).variant for unit in UNITS[:200]}
    after = rule(sticky=True, condition=compiled({"device": "phone"}), ranges=tuple(bucket_ranges(2, 1, [0.05, 0.95])))
    for unit, variant in first.items():
        found = assign_sticky(after, {"user": unit, "device": "tv"}, store)
        assert (found.variant, found.reason) == (variant, "sticky")
    assert any(assign(after, {"user": unit, "device": "phone"}).variant != first[unit] for unit in first)


def test_a_new_bucket_version_assigns_anew_and_a_minimum_shuts_old_units_out() -> None:
    store = MemoryStickyStore()
    assign_sticky(rule(sticky=True), {"user": "a"}, store)
    assert assign_sticky(rule(sticky=True, bucket_version=1), {"user": "a"}, store).reason == "assigned"
    assert (
        assign_sticky(rule(sticky=True, bucket_version=1, min_bucket_version=1), {"user": "a"}, store).reason
        == "blocked"
    )


def test_exposure_is_logged_once_with_its_propensity() -> None:
    made = rule(ranges=tuple(bucket_ranges(2, 0.5, [0.2, 0.8])))
    log, now = ExposureLog(remembered=2), datetime(2026, 11, 2, tzinfo=UTC)
    found = next(
        each for each in (assign(made, {"user": unit}) for unit in UNITS) if each.included and each.variant == 1
    )
    row = log.first(made, found, now)
    assert row is not None
    assert (row.experiment, row.variant, row.propensity) == ("tint", "warm", pytest.approx(0.8))
    assert log.first(made, found, now) is None
    assert propensity(made, 0) == pytest.approx(0.2)
    outside = next(each for each in (assign(made, {"user": unit}) for unit in UNITS) if not each.included)
    assert log.first(made, outside, now) is None


@pytest.mark.parametrize("units", [["a", None], [1, 2], [b"\xff"]])
def test_units_that_are_not_texts_are_refused(units: list[Any]) -> None:
    with pytest.raises(BadInputError):
        assign_all(rule(), units)


def test_a_broken_character_does_not_stop_an_assignment() -> None:
    assert assign(rule(layer="look"), {"user": "a\ud800"}).reason == "assigned"


def test_no_units_give_no_assignments() -> None:
    assert assign_all(rule(), []).size == 0
