"""Plans and reports as a person reads them on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from identity_masker.experiments.plan import MetricPlan, Plan
from identity_masker.experiments.result import MetricResult, Report

TONES = {"better": "green", "non_inferior": "green", "worse": "red", "inferior": "red"}


def shown_plan(plan: Plan) -> RenderableType:
    """The plan as a table, with the verdict below."""
    table = _table("metric", "variant", "role", "effect", "power", "detectable", "units needed", "days", "sample used")
    for row in plan.metrics:
        table.add_row(row.name, row.variant, row.role, *_planned(row))
    head = (
        f"{plan.experiment}: {plan.method.replace('_', ' ')}, {plan.looks} looks in {plan.days} days, "
        f"{plan.units:,.0f} units, alpha {plan.alpha:g}"
    )
    verdict = Text("can answer its question", "green") if plan.answerable else Text("cannot answer its question", "red")
    return Group(Text(head), table, verdict, *(Text(f"  {reason}") for reason in plan.reasons))


def shown_report(report: Report) -> RenderableType:
    """Health, metrics and decision of an evaluation."""
    table = _table("metric", "variant", "role", "control", "treatment", "effect", "interval", "p", "verdict")
    for each in report.metrics:
        p = each.p_adjusted if each.p_adjusted is not None else each.p_value
        verdict = each.verdict.replace("_", "-") if each.status == "ok" else each.status.replace("_", " ")
        table.add_row(
            each.name,
            each.variant,
            each.role,
            *_numbers([each.control, each.treatment]),
            *_effect(each),
            "" if p is None else f"{p:.2g}",
            Text(verdict, TONES.get(each.verdict, "")),
        )
    state = "in order" if report.health.ok else ", ".join(report.health.faults)
    ratio = report.health.sample_ratio
    health = f"day {report.day} of {report.days}; health: {state}; sample ratio e-value {ratio.e_value:.3g}"
    return Group(Text(f"{report.experiment}: {report.decision_details.sentence}"), Text(health), table)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="dim")
    for at, name in enumerate(columns):
        table.add_column(name, justify="left" if at < 3 or name == "verdict" else "right", no_wrap=True)
    return table


def _planned(row: MetricPlan) -> Iterable[str]:
    power = "" if row.power is None else f"{row.power:.3f}"
    days = "" if row.days_needed is None else f"{row.days_needed:.1f}"
    units = "" if row.units_needed is None else f"{row.units_needed:,.0f}"
    used = "" if row.average_share_of_sample is None else f"{row.average_share_of_sample:.0%}"
    effect, detectable = _numbers([row.effect, row.detectable_effect])
    return effect, power, detectable, units, days, used


def _effect(each: MetricResult) -> tuple[str, str]:
    factor, unit = (100.0, " %") if each.scale == "relative" else (1.0, "")
    if each.estimate is None:
        return "", ""
    low, high = (("∞" if end is None else f"{end * factor:+.3g}") for end in each.interval or (None, None))
    interval = "" if each.interval is None else f"{low} to {high}{unit}"
    return f"{each.estimate * factor:+.3g}{unit}", interval


def _numbers(values: Iterable[float | None]) -> list[str]:
    return ["" if value is None else f"{value:.4g}" for value in values]
