from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.unit.drift.tables import QUICK, normal, quick, write

from identity_masker.drift.comparison import compare_sources, judge_stored, make_reference
from identity_masker.errors import BadInputError


@pytest.fixture
def tables(tmp_path: Path) -> tuple[str, str]:
    rng = np.random.default_rng(0)
    before = normal(rng, 500) | {"k": rng.choice(["a", "b"], 500), "e": rng.normal(size=(500, 4))}
    now = normal(rng, 400, c0=1.0) | {"k": rng.choice(["a", "b"], 400), "e": rng.normal(size=(400, 4))}
    return write(tmp_path / "a.parquet", before), write(tmp_path / "b.parquet", now)


def test_tables_are_compared_and_the_result_says_all(tables: tuple[str, str], tmp_path: Path) -> None:
    report, stored = tmp_path / "r.html", tmp_path / "e.json"
    found = compare_sources(*tables, QUICK, report_uri=str(report), evidence_uri=str(stored))
    columns = {column.name: column for column in found.columns}
    assert (found.verdict, found.rows) == ("drift", {"reference": 500, "current": 400})
    assert [name for name, column in columns.items() if column.drift] == ["c0"]
    assert columns["c0"].effect == pytest.approx(1.0, abs=0.2)
    assert (columns["k"].ks, columns["e"].kind, len(columns["e"].different_rows)) == (None, "embedding", 5)
    assert "<figure>" in report.read_text()
    again = judge_stored(str(stored), QUICK)
    assert again.model_copy(update={"report": str(report)}) == found


def test_a_stored_reference_replaces_its_table(tables: tuple[str, str], tmp_path: Path) -> None:
    made = make_reference(tables[0], str(tmp_path / "ref"), QUICK, model_version="1.0.0")
    direct = compare_sources(*tables, QUICK)
    stored = compare_sources(str(tmp_path / "ref"), tables[1], QUICK, model_version="1.0.0")
    assert stored == direct
    assert (made.rows, made.columns["k"]) == (500, "category")
    with pytest.raises(BadInputError, match="another model version"):
        compare_sources(str(tmp_path / "ref"), tables[1], QUICK, model_version="2.0.0")
    with pytest.raises(BadInputError, match="does not know its model version"):
        compare_sources(*tables, QUICK, model_version="1.0.0")


def test_another_policy_can_judge_stored_evidence_otherwise(tables: tuple[str, str], tmp_path: Path) -> None:
    stored = str(tmp_path / "e.json")
    compare_sources(*tables, QUICK, evidence_uri=stored)
    assert judge_stored(stored, quick(floors={"numeric": 5.0})).verdict == "no_drift"
    Path(stored).write_text(json.dumps({"format": 1}))
    with pytest.raises(BadInputError, match="not drift evidence"):
        judge_stored(stored, QUICK)


def test_the_same_tables_give_the_same_result(tables: tuple[str, str]) -> None:
    assert compare_sources(*tables, QUICK) == compare_sources(*tables, QUICK)
