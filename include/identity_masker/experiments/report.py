"""The report of an experiment: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import jinja2
from markupsafe import Markup

from identity_masker.experiments import charts
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.result import Bounds, Check, MetricResult, Report

TEMPLATE = Path(__file__).with_name("report.html.j2")
MOST_FIGURES = 10
MOST_SEGMENT_FIGURES = 4
MOST_FOREST_ROWS = 60
TONES = {
    "ship": "good",
    "stop_harm": "bad",
    "unhealthy": "bad",
    "better": "good",
    "non_inferior": "good",
    "worse": "bad",
    "inferior": "bad",
}
METHODS = {
    "fixed": "fixed horizon, one look at the end",
    "group_sequential": "group sequential: intervals and p-values hold at every scheduled look",
    "always_valid": "confidence sequence: intervals and p-values hold at any time",
}
ORDER = {"goal": 0, "guardrail": 1, "secondary": 2}


def html(experiment: Experiment, report: Report) -> str:
    """The report as a page of less than 500 KB."""
    shown = sorted(report.metrics, key=lambda each: ORDER[each.role])
    timed = [each for each in shown if len(each.looks) > 1 and each.role != "secondary"][:MOST_FIGURES]
    split = [each for each in shown if each.role == "goal" and each.segments][:MOST_SEGMENT_FIGURES]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        report=report,
        design=experiment,
        outcome=report.decision.replace("_", " "),
        tone=TONES.get(report.decision, "wait"),
        method=METHODS[report.method],
        until=datetime.fromisoformat(report.as_of).strftime("%Y-%m-%d %H:%M UTC") if report.as_of else "",
        reading=_reading(experiment),
        rows=[_row(each) for each in shown],
        forest=_drawn(charts.forest(shown[:MOST_FOREST_ROWS]), "Effect and interval of every metric"),
        over_time=[(_title(each), _drawn(charts.over_time(each), f"{_title(each)} over time")) for each in timed],
        ratio=_drawn(charts.sample_ratio(report, tuple(experiment.variants)), "Units by arm and test of the split"),
        checks=list(_checks(report)),
        allocation=_allocation(report),
        segments=list(_segments(split)),
    )


def pictures(experiment: Experiment, report: Report) -> dict[str, bytes]:
    """The figures as PNG, by file name: for MLflow."""
    found = {"forest.png": charts.png(charts.forest(report.metrics[:MOST_FOREST_ROWS]))}
    found["sample_ratio.png"] = charts.png(charts.sample_ratio(report, tuple(experiment.variants)))
    for each in report.metrics:
        if len(each.looks) > 1 and each.role != "secondary" and len(found) < MOST_FIGURES + 2:
            found[f"{each.name}-{each.variant}.png"] = charts.png(charts.over_time(each))
    return found


def _drawn(figure: object, title: str) -> Markup:
    # The drawing is matplotlib's own; names in it come from validated designs, and `svg` escapes the title.
    return Markup(charts.svg(figure, title))  # type: ignore[arg-type]  # noqa: S704


def _segments(results: Iterable[MetricResult]) -> Iterable[tuple[str, Markup]]:
    for each in results:
        figure = charts.segments(each)
        if figure is not None:
            yield _title(each), _drawn(figure, f"{_title(each)} by segment")


def _title(each: MetricResult) -> str:
    return f"{each.name} ({each.variant})"


def _row(each: MetricResult) -> dict[str, str]:
    percent = each.scale == "relative"
    p = each.p_adjusted if each.p_adjusted is not None else each.p_value
    return {
        "name": each.name,
        "role": each.role,
        "variant": each.variant,
        "control": _value(each.control),
        "treatment": _value(each.treatment),
        "effect": _effect(each.estimate, percent=percent),
        "interval": _interval(each.interval, percent=percent),
        "p": "" if p is None else f"{p:.2g}" if p >= 1e-4 else "< 0.0001",
        "chance": "" if each.chance_to_win is None else f"{each.chance_to_win:.1%}",
        "units": f"{each.n:,}",
        "verdict": each.verdict.replace("_", "-") if each.status == "ok" else each.status.replace("_", " "),
        "tone": TONES.get(each.verdict, "wait"),
    }


def _reading(experiment: Experiment) -> str:
    analysis = experiment.analysis
    scale = "relative to the control" if analysis.scale == "relative" else "absolute"
    level = f"{1.0 - analysis.alpha * (1.0 - analysis.unscheduled_share):.4g}"
    text = f"Effects are {scale}; intervals have confidence {level}. "
    goals = len(experiment.goals) * len(experiment.treatments)
    if goals > 1 and analysis.correction != "none":
        text += f"p-values of goals are corrected over {goals} hypotheses ({analysis.correction.replace('_', ' ')}). "
    return text + "A guardrail holds when its interval lies inside the margin."


def _checks(report: Report) -> Iterable[tuple[str, str, str, str]]:
    ratio = report.health.sample_ratio
    counts = ", ".join(f"{n:,}" for n in ratio.counts)
    yield (
        "sample ratio",
        "in order" if ratio.ok else "fault",
        f"{counts} units; e-value {ratio.e_value:.3g}, chi-square p {ratio.p_value:.2g}",
        "good" if ratio.ok else "bad",
    )
    for name in type(report.health).model_fields:
        check = getattr(report.health, name)
        if isinstance(check, Check):
            state = "in order" if check.ok else "to note" if check.warning else "fault"
            yield (
                name.replace("_", " "),
                state,
                check.message,
                "good" if check.ok else "wait" if check.warning else "bad",
            )


def _allocation(report: Report) -> list[tuple[str, str, str, str]]:
    found = report.allocation
    if found is None:
        return []
    return [
        (name, f"{weight:.1%}", _share(found.p_best.get(name)), _value(found.regret.get(name)))
        for name, weight in found.weights.items()
    ]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _effect(value: float | None, *, percent: bool) -> str:
    if value is None:
        return ""
    return f"{value * 100:+.2f} %" if percent else f"{value:+.4g}"


def _interval(interval: Bounds | None, *, percent: bool) -> str:
    if interval is None:
        return ""
    low, high = (_effect(end, percent=percent) if end is not None else "∞" for end in interval)
    return f"{'-' + low if low == '∞' else low} to {high}"
