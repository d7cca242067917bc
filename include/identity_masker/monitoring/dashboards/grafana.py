"""Panels and dashboards, and their JSON for Grafana (schema 39, Grafana 10 and later)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["timeseries", "stat", "table", "bargauge"]
Unit = Literal["short", "reqps", "s", "bytes", "percentunit", "dateTimeFromNow", "bool", "watt"]
WIDTH, HEIGHT, COLUMNS = 8, 8, 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Query:
    """What is asked, and how a series is named: `{{label}}` stands for its label."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel. `help` says what to make of it; `sparse` names what has to happen before there is data."""

    title: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    kind: Kind = "timeseries"
    help: str = ""
    thresholds: tuple[tuple[float, str], ...] = ()
    sparse: str = ""

    def document(self, number: int) -> dict[str, Any]:
        steps: list[dict[str, Any]] = [{"color": "green" if self.thresholds else "text", "value": None}]
        steps += [{"color": colour, "value": value} for value, colour in self.thresholds]
        column = number % (COLUMNS // WIDTH)
        return {
            "id": number + 1,
            "title": self.title,
            "description": self.help,
            "type": self.kind,
            "datasource": SOURCE,
            "gridPos": {"x": column * WIDTH, "y": number // (COLUMNS // WIDTH) * HEIGHT, "w": WIDTH, "h": HEIGHT},
            "fieldConfig": {
                "defaults": {"unit": self.unit, "thresholds": {"mode": "absolute", "steps": steps}},
                "overrides": [],
            },
            "options": _OPTIONS[self.kind],
            "targets": [self._target(number, query) for number, query in enumerate(self.queries)],
        }

    def _target(self, number: int, query: Query) -> dict[str, Any]:
        table = self.kind == "table"
        return {
            "refId": chr(ord("A") + number),
            "datasource": SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend or "__auto",
            "instant": self.kind != "timeseries",
            "range": self.kind == "timeseries",
            "format": "table" if table else "time_series",
        }


@dataclass(frozen=True)
class Dashboard:
    """A dashboard; `name` is its file and its address."""

    name: str
    title: str
    about: str
    panels: tuple[Panel, ...]

    def document(self) -> dict[str, Any]:
        return {
            "uid": f"masker-{self.name}",
            "title": self.title,
            "description": self.about,
            "tags": ["identity-masker"],
            "schemaVersion": 39,
            "editable": False,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "timezone": "utc",
            "templating": {"list": [_DATASOURCE]},
            "links": [{"type": "dashboards", "tags": ["identity-masker"], "asDropdown": True, "title": "Dashboards"}],
            "panels": [panel.document(number) for number, panel in enumerate(self.panels)],
        }

    def text(self) -> str:
        """The file that Grafana provisions."""
        return json.dumps(self.document(), indent=1) + "\n"


_DATASOURCE = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
_REDUCED = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
_OPTIONS: dict[Kind, dict[str, Any]] = {
    "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    "stat": {**_REDUCED, "colorMode": "value", "graphMode": "area", "textMode": "auto"},
    "bargauge": {**_REDUCED, "orientation": "horizontal", "displayMode": "basic"},
    "table": {"showHeader": True},
}


def lines(title: str, expr: str, legend: str = "", unit: Unit = "short", help: str = "", sparse: str = "") -> Panel:
    """A panel of lines over time, from one query."""
    return Panel(title, (Query(expr, legend),), unit, help=help, sparse=sparse)


def number(
    title: str, expr: str, unit: Unit = "short", legend: str = "", help: str = "", sparse: str = "",
    thresholds: tuple[tuple[float, str], ...] = (),
) -> Panel:  # fmt: skip
    """A panel of the present value of each series."""
    return Panel(title, (Query(expr, legend),), unit, "stat", help, thresholds, sparse)


def table(title: str, expr: str, help: str = "", sparse: str = "") -> Panel:
    """A panel with a row for each series and its labels as columns."""
    return Panel(title, (Query(expr),), "short", "table", help, sparse=sparse)
