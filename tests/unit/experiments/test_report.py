from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from rich.console import Console

from identity_masker.cli.main import main
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.experiments import archive
from identity_masker.experiments.evaluation import evaluate_files
from identity_masker.experiments.plan import plan
from identity_masker.experiments.publishing import publish
from identity_masker.experiments.report import html
from identity_masker.experiments.terminal import shown_plan, shown_report

Make = Callable[..., Any]
Capture = pytest.CaptureFixture[str]


class Parsed(HTMLParser):
    """Tags in balance, and the text of a page."""

    VOID = ("meta", "link", "br", "img", "path", "use", "rect", "circle")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def settings(**changes: Any) -> dict[str, Any]:
    metrics = [
        {"name": "masks", "kind": "count", "role": "goal", "minimum_effect": 0.1, "covariate": "1d"},
        {"name": "slow", "kind": "quantile", "quantile": 0.9, "role": "guardrail", "margin": 0.2, "better": "lower"},
        {"name": "leaks", "kind": "proportion", "role": "guardrail", "margin": 0.1, "better": "lower"},
    ]
    analysis = {"window": "1d", "scale": "absolute", "segments": ["device"], "unscheduled_share": 0.1}
    return {"metrics": metrics, "analysis": analysis} | changes


@pytest.fixture
def files(world: Make) -> tuple[str, str]:
    w = world(units=3000)
    w.happen("masks", 1.5 * (1 + 0.5 * w.arm))
    w.happen("masks", 1.5, hours=(-24.0, 0.0))
    w.happen("slow", 1.0, value=100.0)
    slow = w.outcomes.pop()
    w.outcomes.append(slow.with_columns(pl.Series("value", w.rng.lognormal(0, 0.2, len(slow)))))
    w.happen("leaks", 0.02)
    found: tuple[str, str] = w.files(w.exposures(device=w.rng.choice(["phone", "<b>tv</b>"], 3000)))
    return found


def test_the_page_stands_alone_is_small_and_says_the_verdict(design: Make, files: tuple[str, str]) -> None:
    made = design(**settings(hypothesis="<script>alert(1)</script> is no hypothesis"))
    _, report = evaluate_files(made, *files)
    page = html(made, report)
    assert "<script>" not in page
    assert "<b>tv" not in page
    parsed = Parsed(page)
    assert parsed.open == []
    assert report.decision == "ship"
    assert report.decision_details.sentence in parsed.text
    assert "exploratory" in parsed.text
    assert len(page.encode()) < 500_000
    assert not re.search(r'(src|href)="(?!#)', page), "nothing is loaded from elsewhere"
    assert page.count("<svg") == 5


def test_a_page_with_a_hundred_metrics_stays_small(design: Make, world: Make) -> None:
    w = world(units=400)
    metrics = [{"name": f"m{k}", "kind": "mean", "role": "goal"} for k in range(100)]
    wide = pl.DataFrame({"user": w.units} | {f"m{k}": w.rng.normal(size=400) for k in range(100)})
    timed = wide.with_columns(pl.Series("timestamp", w.entered + np.timedelta64(60, "s")))
    made = design(metrics=metrics)
    page = html(made, evaluate_files(made, *w.files(outcomes=timed))[1])
    assert len(page.encode()) < 500_000


def test_an_experiment_without_any_result_has_a_page_too(design: Make, world: Make) -> None:
    w = world(units=100)
    made = design(metrics=[{"name": "spent", "kind": "mean", "role": "goal"}])
    wide = pl.DataFrame({"user": w.units, "spent": np.ones(100)})
    parsed = Parsed(html(made, evaluate_files(made, *w.files(outcomes=wide))[1]))
    assert "zero variance" in parsed.text


def test_publishing_from_files_and_from_stored_evidence(design: Make, files: tuple[str, str], tmp_path: Path) -> None:
    made = design(**settings())
    evidence, _ = evaluate_files(made, *files)
    with pytest.raises(NotFoundError):
        publish(made, None, None, tmp_path / "r.html", None)
    with pytest.raises(BadInputError):
        publish(made, files[0], None, tmp_path / "r.html", None)
    archive.save(evidence)
    stored = publish(made, None, None, tmp_path / "a.html", tmp_path / "png")
    fresh = publish(made, *files, tmp_path / "b.html", None)
    assert (tmp_path / "a.html").read_text() == (tmp_path / "b.html").read_text()
    assert stored.decision == fresh.decision
    assert {"forest.png", "sample_ratio.png", "masks-warm.png"} <= {path.name for path in (tmp_path / "png").iterdir()}
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in (tmp_path / "png").iterdir())


def test_a_terminal_shows_plan_and_report_as_tables(design: Make, files: tuple[str, str]) -> None:
    made = design(**settings())
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(shown_plan(plan(made)))
    console.print(shown_report(evaluate_files(made, *files)[1]))
    text = console.export_text()
    assert "cannot answer its question" in text
    assert "Ship warm" in text
    assert "non-inferior" in text


@pytest.fixture
def config(design: Make, tmp_path: Path) -> str:
    path = tmp_path / "tint.yaml"
    document = json.loads(design(**settings()).model_dump_json(exclude_unset=True))
    path.write_text(yaml.safe_dump(document))
    return str(path)


def run(capsys: Capture, *arguments: str) -> tuple[int, Any]:
    code = main(["experiments", *arguments])
    out = capsys.readouterr().out
    return code, json.loads(out) if out.strip().startswith("{") else out


def test_analyze_prints_one_json_object(capsys: Capture, config: str, files: tuple[str, str]) -> None:
    code, found = run(capsys, "analyze", "--config", config, "--exposures", files[0], "--outcomes", files[1])
    assert code == 0
    assert {"ok", "p_value", "e_value"} <= set(found["health"]["sample_ratio"])
    assert {"name", "variant", "estimate", "interval", "p_value", "n"} <= set(found["metrics"][0])
    assert found["decision"] == "ship"


def test_the_commands_follow_one_another(capsys: Capture, config: str, files: tuple[str, str], tmp_path: Path) -> None:
    assert run(capsys, "analyze", "--config", config, "--exposures", files[0], "--outcomes", files[1], "--save")[0] == 0
    code, found = run(capsys, "report", config, "--output", str(tmp_path / "r.html"))
    assert (code, found["decision"]) == (0, "ship")
    code, found = run(capsys, "assign", config, "--unit", "u1", "--attributes", '{"device": "tv"}')
    assert (code, found["reason"], found["included"]) == (0, "assigned", True)
    code, found = run(capsys, "schema")
    assert (code, found["title"]) == (0, "Experiment")


def test_plan_that_cannot_answer_prints_the_plan_and_exits_with_2(capsys: Capture, config: str) -> None:
    code, found = run(capsys, "plan", config)
    assert code == 2
    assert found["answerable"] is False
    assert found["reasons"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "nothing"),
        ("assign", "{config}", "--unit", "u", "--attributes", "[1]"),
        ("assign", "{config}", "--unit", "u", "--attributes", "{"),
        ("analyze", "--config", "{config}", "--exposures", "none.parquet", "--outcomes", "none.parquet"),
        ("analyze", "--config", "{config}"),
        ("report", "{config}"),
    ],
)
def test_wrong_arguments_exit_with_2(capsys: Capture, config: str, arguments: tuple[str, ...]) -> None:
    assert run(capsys, *(each.replace("{config}", config) for each in arguments))[0] == 2


def test_assign_says_that_a_draft_is_not_running(capsys: Capture) -> None:
    assert run(capsys, "assign", "softer-skin", "--unit", "u1")[1]["reason"] == "inactive"
    code, found = run(capsys, "check")
    assert (code, found["experiments"]["softer-skin"]) == (0, "draft")


def test_interactions_are_read_from_the_exposures_of_others(design: Make, world: Make, tmp_path: Path) -> None:
    w = world(units=4000)
    there = w.rng.integers(0, 2, 4000)
    wide = pl.DataFrame({"user": w.units, "spent": w.arm * (there * 2 - 1) * 1.0 + w.rng.normal(size=4000)})
    others = pl.DataFrame({"user": w.units, "experiment": "font", "variant": np.array(["serif", "sans"])[there]})
    others.write_parquet(tmp_path / "others.parquet")
    made = design(metrics=[{"name": "spent", "kind": "mean", "role": "goal"}])
    evidence, report = evaluate_files(made, *w.files(outcomes=wide), others=str(tmp_path / "others.parquet"))
    assert sum(map(sum, evidence.interactions[0].counts)) == 4000
    assert "interaction" in report.health.faults
    assert "font" in report.health.interaction.message
