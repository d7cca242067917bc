from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.unit.drift.tables import normal, write

from identity_masker.cli.main import main


@pytest.fixture
def tables(tmp_path: Path) -> tuple[str, str]:
    rng = np.random.default_rng(0)
    return (
        write(tmp_path / "a.parquet", normal(rng, 300)),
        write(tmp_path / "b.csv", normal(rng, 200, c2=1.5)),
    )


def test_compare_prints_one_json_object_alone(tables: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", "compare", "--reference", tables[0], "--current", tables[1], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "drift"
    wanted = {"name", "ks", "psi", "wasserstein", "p_value", "effect", "drift"}
    assert all(wanted <= set(column) for column in found["columns"])
    assert [column["name"] for column in found["columns"] if column["drift"]] == ["c2"]


def test_summarise_then_compare_then_judge(
    tables: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, stored, report = (str(tmp_path / name) for name in ("ref", "e.json", "r.html"))
    assert main(["drift", "summarise", "--table", tables[0], "--output", reference, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 300
    compare = ["drift", "compare", "--reference", reference, "--current", tables[1], "--json"]
    assert main([*compare, "--evidence", stored, "--report", report]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["drift", "judge", "--evidence", stored, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["columns"] == first["columns"]
    assert Path(report).stat().st_size < 500_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--reference", "none.parquet", "--current", "none.parquet"], "no such table"),
        (["--reference", "none.parquet"], "Missing option '--current'"),
    ],
)
def test_bad_input_exits_with_2_and_says_what_is_wrong(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drift", "compare", *arguments]) == 2
    caught = capsys.readouterr()
    assert said in caught.err
    assert caught.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["collect", "--night", "tonight"], "this is not a day"),
        (["collect", "--start", "noon", "--end", "2026-11-02"], "this is not a time"),
        (["collect", "--start", "2026-11-02"], "a start and an end"),
        (["test", "--window", "nowhere", "--group", "colours"], "'colours' is not one of"),
        (["test", "--window", "nowhere", "--group", "inputs"], "no collected window"),
        (["verdict", "--window", "nowhere"], "no collected window"),
        (["report", "--window", "nowhere", "--output", "page.html"], "was not judged"),
        (["watch", "--since", "lately"], "neither an age nor a time"),
    ],
)
def test_a_step_of_the_nightly_check_names_what_is_wrong(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drift", *arguments]) == 2
    assert words in capsys.readouterr().err
