"""The dashboards and the catalogue are those that the code gives, and they name metrics that there are."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from identity_masker.errors import BadInputError
from identity_masker.monitoring.catalogue import catalogue, names
from identity_masker.monitoring.dashboards.all import DASHBOARDS
from identity_masker.monitoring.dashboards.grafana import Dashboard
from identity_masker.monitoring.page import with_part
from identity_masker.settings import PROJECT, Settings

FOLDER = PROJECT / "docker" / "grafana" / "dashboards"
RULES = PROJECT / "docker" / "prometheus" / "rules"
SUFFIXES = re.compile(r"_(bucket|sum|count)$")


def known() -> set[str]:
    return names(Settings(config_dir=PROJECT / "include" / "config"))


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_the_committed_dashboard_is_up_to_date(dashboard: Dashboard) -> None:
    assert (FOLDER / f"{dashboard.name}.json").read_text() == dashboard.text(), "run `masker metrics dashboards`"


def test_there_is_no_dashboard_that_the_code_does_not_know() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {dashboard.name for dashboard in DASHBOARDS}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_panels_have_titles_places_and_numbers_of_their_own(dashboard: Dashboard) -> None:
    panels = json.loads(dashboard.text())["panels"]
    for of in ("id", "title"):
        assert len({panel[of] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert all(panel["targets"] for panel in panels)


def test_queries_and_rules_name_metrics_of_the_catalogue() -> None:
    asked = [query.expr for each in DASHBOARDS for panel in each.panels for query in panel.queries]
    for path in RULES.glob("*.yml"):
        groups = yaml.safe_load(path.read_text())["groups"]
        asked += [rule["expr"] for group in groups for rule in group["rules"]]
    found = {SUFFIXES.sub("", name) if SUFFIXES.search(name) else name for expr in asked for name in _metrics(expr)}
    assert found - known() == set()


def _metrics(expr: str) -> list[str]:
    return re.findall(r"\bmasker_[a-z0-9_]+", re.sub(r'"[^"]*"', "", expr))


def test_the_page_of_metrics_is_up_to_date() -> None:
    page = (PROJECT / "docs" / "metrics.md").read_text()
    made = with_part(page, "catalogue", catalogue(Settings(config_dir=PROJECT / "include" / "config")))
    assert made == page, "run `masker metrics catalogue --write`"


def test_a_part_that_a_page_lacks_is_an_error() -> None:
    with pytest.raises(BadInputError, match="catalogue"):
        with_part("# A page", "catalogue", "text")
