"""The benchmark that needs a GPU, run where there is none: every line of it but the compiler."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from benchmarks.gpu.__main__ import main


def test_every_part_runs_and_writes_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--device", "cpu", "--quick", "--eager", "--sizes", "128", "--json", str(tmp_path / "found.json")]
    monkeypatch.setattr(sys, "argv", ["bench", *options])
    main()
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["ceiling"]["bf16_tflops"] > 0
    row = found["training"]["128"]
    assert row["ours"] > 0
    assert row["share"] == pytest.approx(row["ours"] * row["gflop"] / 1e3 / found["ceiling"]["bf16_tflops"])
    assert {name: set(figures) for name, figures in found["masking"].items()}["128 eager 1"] == {
        "frames",
        "ms",
        "first",
    }
    assert set(found["quality"]) == {"fp32", "bf16"}
    assert "| 128 | 4 |" in capsys.readouterr().out
