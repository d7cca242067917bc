from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
from tests.unit.drift.tables import QUICK, evidence, normal

from identity_masker.drift.report import page
from identity_masker.drift.verdict import judge

VOID = {"meta", "br"}


class _Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _page(before: dict, now: dict) -> str:
    made = evidence(before, now)
    return page(made, judge(made, QUICK), QUICK)


def test_the_report_shows_verdict_columns_and_plots_and_needs_nothing_else() -> None:
    rng = np.random.default_rng(0)
    before = normal(rng, 300) | {"k": rng.choice(["a", "b"], 300), "e": rng.normal(size=(300, 4))}
    now = normal(rng, 300, c1=1.0) | {"k": rng.choice(["a", "b"], 300), "e": rng.normal(size=(300, 4)) + 1}
    html = _page(before, now)
    parser = _Balanced()
    parser.feed(html)
    assert parser.open == []
    assert "<h1>Traffic against training: drift</h1>" in html
    assert html.count("<figure>") == 5
    assert html.index(">c1<") < html.index(">c0<")
    assert not re.search(r'(src|href)="', html)


def test_names_and_values_of_the_data_cannot_break_the_page() -> None:
    evil = '"><script>alert(1)</script>'
    html = _page({evil: ["a", evil] * 50}, {evil: ["a", evil + "!"] * 50})
    assert "<script>" not in html
    parser = _Balanced()
    parser.feed(html)
    assert parser.open == []


def test_a_report_on_hundreds_of_long_columns_stays_below_500_kb() -> None:
    rng = np.random.default_rng(1)
    name = "a column with a name that nobody would want to type, and that goes on and on " * 3
    before = {f"{name}{index}": rng.normal(size=40) for index in range(360)}
    now = {key: rng.normal(3, 1, size=40) for key in before}
    html = _page(before, now)
    assert len(html.encode()) < 500_000
    assert "60 more columns" in html


def test_empty_windows_have_a_report_too() -> None:
    html = _page({"a": np.ones(100)}, {"a": np.ones(0)})
    assert "<h1>Traffic against training: not enough data</h1>" in html
    assert "0 in the current window" in html
