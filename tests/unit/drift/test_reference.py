from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.unit.drift.tables import evidence, normal, quick, summary

from identity_masker.drift.reference import FILE, SKETCHES, Provenance, Reference, load, save
from identity_masker.drift.summary import TableSummary
from identity_masker.errors import BadInputError, NotFoundError


def _summary() -> TableSummary:
    rng = np.random.default_rng(0)
    columns = normal(rng, 300) | {"k": rng.choice(["a", "b"], 300), "e": rng.normal(size=(300, 4))}
    return summary(columns | {"none": [None] * 300, "number": [float("nan")] * 300})


def test_a_stored_reference_comes_back_as_it_was(tmp_path: Path) -> None:
    made = Reference(Provenance(source="t", model_version="1.2.0", dataset="d@1"), _summary())
    digest = save(made, str(tmp_path / "ref"))
    again = load(f"file://{tmp_path}/ref", model_version="1.2.0")
    assert again.provenance == made.provenance
    assert again.summary.kinds == made.summary.kinds
    assert np.array_equal(again.summary.columns["c0"].ordered.values, made.summary.columns["c0"].ordered.values)
    assert again.summary.columns["c0"].scale == made.summary.columns["c0"].scale
    assert again.summary.columns["k"] == made.summary.columns["k"]
    assert again.summary.columns["number"].count == 0
    assert again.summary.sample.rows.to_pydict().keys() == made.summary.sample.rows.to_pydict().keys()
    assert again.summary.sample.rows.column("e").to_pylist() == made.summary.sample.rows.column("e").to_pylist()
    assert len(digest) == 64


def test_a_reference_of_another_model_version_is_refused(tmp_path: Path) -> None:
    save(Reference(Provenance(source="t", model_version="1.2.0"), _summary()), str(tmp_path))
    with pytest.raises(BadInputError, match=r"another model version; got 1\.2\.0"):
        load(str(tmp_path), model_version="1.3.0")


def test_missing_damaged_and_foreign_references_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load(str(tmp_path))
    save(Reference(Provenance(source="t"), _summary()), str(tmp_path))
    (tmp_path / SKETCHES).write_bytes((tmp_path / SKETCHES).read_bytes()[:-1])
    with pytest.raises(BadInputError, match="damaged"):
        load(str(tmp_path))
    (tmp_path / FILE).write_text('{"format": 7}')
    with pytest.raises(BadInputError, match="cannot be read"):
        load(str(tmp_path))


def test_a_policy_that_wants_another_kind_needs_a_new_reference() -> None:
    made = Reference(Provenance(source="t"), _summary())
    with pytest.raises(BadInputError, match="another policy"):
        made.under(quick(columns={"c0": {"kind": "category"}}))
    ignoring = made.under(quick(columns={"c0": {"kind": "ignore"}}))
    assert ignoring.kinds["c0"] == "ignored"


def test_the_stored_reference_gives_the_evidence_of_the_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    before, now = normal(rng, 300), normal(rng, 200, c1=0.5)
    direct = evidence(before, now)
    save(Reference(Provenance(source="t"), summary(before)), str(tmp_path))
    from identity_masker.drift.compare import collect

    again = collect(
        load(str(tmp_path)).summary,
        summary(now, seed=1),
        quick(),
        reference=direct.reference,
        current=direct.current,
    )
    assert again == direct
