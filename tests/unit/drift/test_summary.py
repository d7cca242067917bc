from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.drift.tables import QUICK, normal, quick, summary, table, vectors

from identity_masker.drift.column_summary import MOST_CATEGORIES, CategorySummary, NumericSummary
from identity_masker.drift.summary import ROW, RowSample, TableSummary
from identity_masker.drift.tables import summarise_batches
from identity_masker.errors import BadInputError

numbers = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30)


@given(st.lists(numbers, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_numeric_summary_accounts_for_every_row(chunks: list[list[float]]) -> None:
    found = NumericSummary()
    for chunk in chunks:
        found.update(np.array(chunk, dtype=np.float64), 0)
    everything = np.array([value for chunk in chunks for value in chunk])
    assert found.rows == everything.size
    assert found.missing == np.count_nonzero(np.isnan(everything))
    assert found.infinite == np.count_nonzero(np.abs(everything) > 1e150)


def test_moments_of_chunks_are_those_of_the_whole() -> None:
    values = 1e6 + np.random.default_rng(0).normal(size=1_000)
    parts = [NumericSummary(), NumericSummary()]
    for chunk, part in zip(np.array_split(values, 6), parts * 3, strict=True):
        part.update(chunk, 1)
    parts[0].merge(parts[1])
    assert parts[0].mean == pytest.approx(values.mean(), rel=1e-12)
    assert parts[0].sd == pytest.approx(values.std(ddof=1), rel=1e-9)
    assert (parts[0].low, parts[0].high, parts[0].missing) == (values.min(), values.max(), 6)


def test_scale_is_robust_and_falls_back_to_the_deviation() -> None:
    rng = np.random.default_rng(1)
    wild = NumericSummary()
    wild.update(np.append(rng.normal(size=10_000), 1e9), 0)
    assert wild.scale == pytest.approx(1.0, abs=0.05)
    mostly_zero = NumericSummary()
    mostly_zero.update(np.where(np.arange(100) < 90, 0.0, 1.0), 0)
    assert mostly_zero.scale == pytest.approx(mostly_zero.sd)
    constant = NumericSummary()
    constant.update(np.full(10, 3.0), 0)
    assert constant.scale is None


def test_what_is_derived_from_the_values_follows_an_update() -> None:
    found = NumericSummary()
    found.update(np.arange(100.0), 0)
    before = found.scale, found.bins(4)[0]
    found.update(np.arange(1000.0), 0)
    assert found.scale > 5 * before[0]
    assert not np.array_equal(found.bins(4)[0], before[1])


def test_a_million_categories_are_counted_in_bounded_memory() -> None:
    found = CategorySummary()
    rng = np.random.default_rng(2)
    for start in range(0, 1_000_000, 250_000):
        names = {f"rare-{index}": 1 for index in range(start, start + 250_000)}
        found.update(names | {"often": 400_000, "now and then": 10_000}, 5)
    assert len(found.counts) <= MOST_CATEGORIES
    assert (found.count, found.missing) == (2_640_000, 20)
    assert (found.counts["often"], found.counts["now and then"]) == (1_600_000, 40_000)
    assert not found.complete
    assert not found.names_rows
    assert rng is not None


def test_a_column_that_names_its_rows_is_recognised() -> None:
    found = CategorySummary()
    for start in range(0, 300_000, 150_000):
        found.update({str(index): 1 for index in range(start, start + 150_000)}, 0)
    assert found.names_rows
    assert (found.counts, found.count) == ({}, 300_000)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_kept_rows_are_some_of_the_table_and_know_their_place(sizes: list[int], size: int) -> None:
    sample, start = RowSample(size), 0
    for rows in sizes:
        sample.update(pa.table({"x": np.arange(start, start + rows)}))
        start += rows
    assert sample.rows is not None
    assert sample.rows.num_rows == min(size, start)
    assert sample.rows.column("x").to_pylist() == sample.rows.column(ROW).to_pylist()
    assert len(set(sample.rows.column("x").to_pylist())) == sample.rows.num_rows


def test_every_row_is_kept_with_the_same_chance_over_chunks_and_merges() -> None:
    counts = np.zeros(60)
    for seed in range(400):
        parts = [RowSample(12, seed), RowSample(12, 10_000 + seed)]
        for index, chunk in enumerate(np.array_split(np.arange(60), 6)):
            parts[index % 2].update(pa.table({"x": chunk}))
        parts[0].merge(parts[1])
        counts[parts[0].rows.column("x").to_pylist()] += 1
    # 80 expected each, binomial deviation 8.
    assert np.all(np.abs(counts - 80) < 4.5 * 8)


def test_summaries_of_parts_merge_to_that_of_the_whole() -> None:
    rng = np.random.default_rng(3)
    columns = normal(rng, 400) | {"k": rng.choice(["a", "b"], 400), "e": rng.normal(size=(400, 4))}
    whole, halves = table(columns), [summarise_batches(table(columns).slice(s, 200), QUICK, seed=s) for s in (0, 200)]
    merged, direct = halves[0], summarise_batches(whole, QUICK)
    merged.merge(halves[1])
    assert merged.rows == direct.rows == 400
    assert np.array_equal(merged.columns["c0"].ordered.values, direct.columns["c0"].ordered.values)
    assert merged.columns["k"].counts == direct.columns["k"].counts
    assert merged.columns["e"].dimensions == 4
    assert merged.sample.rows.num_rows == 400


def test_summaries_of_other_columns_do_not_merge() -> None:
    with pytest.raises(BadInputError, match="cannot be merged"):
        summary({"a": [1.0]}).merge(summary({"b": [1.0]}))


def test_kinds_follow_the_types_and_the_policy() -> None:
    made = {
        "number": [1, 2],
        "flag": [True, False],
        "text": ["a", None],
        "coded": pa.array(["a", "b"]).dictionary_encode(),
        "time": pa.array([1, 2], pa.timestamp("s")),
        "vector": np.zeros((2, 3)),
        "none": pa.nulls(2),
        "nested": [{"a": 1}, {"a": 2}],
        "code": [1, 2],
        "request": ["x", "y"],
    }
    policy = quick(columns={"code": {"kind": "category"}}, id_column="request")
    found = summary(made, policy)
    assert list(found.kinds.values()) == [
        *("numeric", "category", "category", "category", "time", "embedding", "empty", "other", "category", "ignored")
    ]
    assert "request" in found.sample.rows.column_names


def test_a_policy_that_does_not_fit_the_table_is_refused() -> None:
    with pytest.raises(BadInputError, match="column text is not what the policy says"):
        summary({"text": ["a"]}, quick(columns={"text": {"kind": "numeric"}}))


def test_vectors_of_several_lengths_are_refused() -> None:
    with pytest.raises(BadInputError, match="several lengths"):
        summary({"e": pa.array([[1.0, 2.0], [1.0]])})
    first = summarise_batches(pa.table({"e": pa.array([[1.0, 2.0]])}), QUICK)
    with pytest.raises(BadInputError, match="several lengths"):
        first.update(pa.RecordBatch.from_pydict({"e": pa.array([[1.0]])}))


def test_two_columns_of_one_name_are_refused() -> None:
    twice = pa.schema([("a", pa.int64()), ("a", pa.int64())])
    with pytest.raises(BadInputError, match="one name"):
        TableSummary.empty(twice, QUICK)


def test_an_empty_table_has_an_empty_summary() -> None:
    found = summary({"a": pa.array([], pa.float64()), "e": vectors(np.zeros((0, 2)))})
    assert (found.rows, found.columns["a"].count, found.columns["a"].low) == (0, 0, math.inf)
