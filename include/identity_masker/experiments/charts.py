"""The figures of a report, as matplotlib figures: SVG for the page, PNG for MLflow."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from identity_masker.experiments.result import MetricResult, Report

INK, FAINT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
COLOURS = {
    "better": "#0b7a53",
    "non_inferior": "#0b7a53",
    "worse": "#b42318",
    "inferior": "#b42318",
    "undecided": "#486581",
    "no_result": "#9aa5b1",
}
ARMS = ("#486581", "#c05621", "#0b7a53", "#6b46c1", "#b83280", "#2c7a7b")
# matplotlib types the names of its settings one by one.
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "identity-masker",
    "figure.constrained_layout.use": True,
}

OFFSET: Any = {"textcoords": "offset points", "va": "center"}


def over_time(result: MetricResult) -> Figure:
    """Effect with its interval at every look (left), and the z value against the boundaries (right)."""
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 2.9))
        left, right = figure.subplots(1, 2)
        colour, percent = COLOURS[result.verdict], 100.0 if result.scale == "relative" else 1.0
        days = np.array([look.day for look in result.looks])
        estimates = np.array([look.estimate for look in result.looks]) * percent
        ends = np.array([[_number(end) for end in look.interval] for look in result.looks]).reshape(-1, 2) * percent
        left.axhline(0.0, color=INK, linewidth=0.8)
        left.fill_between(days, ends[:, 0], ends[:, 1], color=colour, alpha=0.16, linewidth=0)
        left.plot(days, estimates, color=colour, linewidth=1.8, marker="o", markersize=3)
        if result.margin is not None:
            margin = result.margin * percent * (1.0 if result.better == "lower" else -1.0)
            left.axhline(margin, color=COLOURS["worse"], linewidth=1, linestyle="--")
            left.annotate("margin", (days[0], margin), fontsize=8, color=COLOURS["worse"], va="bottom")
        _focus(left, np.concatenate([estimates, ends[-1:].ravel()]), result.margin, percent)
        left.set_xlabel("day of entry")
        left.set_ylabel("effect, %" if result.scale == "relative" else "effect")
        left.set_title("Effect and its interval at each look", fontsize=9, loc="left")
        _boundaries(right, result, days, colour)
        return figure


def _boundaries(axes: Axes, result: MetricResult, days: np.ndarray, colour: str) -> None:
    bounds = np.array([_number(look.boundary) for look in result.looks])
    z = np.array([look.z for look in result.looks])
    axes.axhline(0.0, color=INK, linewidth=0.8)
    for sign in (1.0, -1.0):
        axes.plot(days, sign * bounds, color=FAINT, linewidth=1.2, linestyle="--", drawstyle="default")
    axes.plot(days, z, color=colour, linewidth=1.8, marker="o", markersize=3)
    largest = max(4.0, 1.15 * float(np.max(np.abs(z))))
    axes.set_ylim(-min(largest, 12.0), min(largest, 12.0))
    axes.set_xlabel("day of entry")
    axes.set_ylabel("z")
    title = "Evidence against the boundaries" if result.margin is None else "Evidence of any effect at all"
    axes.set_title(title, fontsize=9, loc="left")


def forest(results: Sequence[MetricResult]) -> Figure:
    """All metrics: effect and interval; relative effects in percent, absolute ones in standard errors."""
    shown = [each for each in results if each.estimate is not None and each.standard_error]
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 0.9 + 0.34 * max(1, len(shown))))
        axes = figure.subplots()
        axes.axvline(0.0, color=INK, linewidth=0.8)
        relative = all(each.scale == "relative" for each in shown)
        margins: list[tuple[float, int]] = []
        for row, each in enumerate(reversed(shown)):
            scale = 100.0 if relative else 1.0 / (each.standard_error or 1.0)
            low, high = (_number(end) * scale for end in each.interval or (None, None))
            colour = COLOURS[each.verdict]
            axes.plot([low, high], [row, row], color=colour, linewidth=2.2, solid_capstyle="round")
            axes.plot([(each.estimate or 0.0) * scale], [row], color=colour, marker="o", markersize=5)
            if each.margin is not None:
                margins.append((each.margin * scale * (1.0 if each.better == "lower" else -1.0), row))
        _margins(axes, margins, " %" if relative else "")
        axes.set_yticks(range(len(shown)), [f"{each.name} ({each.variant})" for each in reversed(shown)])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(-0.6, max(0.6, len(shown) - 0.4))
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("effect, %" if relative else "effect in standard errors")
        return figure


def _margins(axes: Axes, margins: Sequence[tuple[float, int]], unit: str) -> None:
    """A stroke at each margin, or its distance in words at the edge: a far one would press all intervals together."""
    low, high = axes.get_xlim()
    reach = 0.35 * (high - low)
    for margin, row in margins:
        if low - reach <= margin <= high + reach:
            axes.plot([margin], [row], color=COLOURS["worse"], marker="|", markersize=11, markeredgewidth=1.6)
    low, high = axes.get_xlim()
    for margin, row in margins:
        if not low <= margin <= high:
            right = margin > high
            axes.annotate(
                f"margin {margin:+.3g}{unit} →" if right else f"← margin {margin:+.3g}{unit}",
                (high if right else low, row), color=COLOURS["worse"], fontsize=8, va="center",
                ha="right" if right else "left",
            )  # fmt: skip
    axes.set_xlim(low, high)


def sample_ratio(report: Report, variants: Sequence[str]) -> Figure:
    """Units of the arms against their shares over time, and the p-value of the split that holds at any time."""
    ratio = report.health.sample_ratio
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 2.5))
        left, right = figure.subplots(1, 2)
        gaps = np.array(ratio.deviations).reshape(-1, len(variants)) * 100.0
        for at, name in enumerate(variants):
            colour = ARMS[at % len(ARMS)]
            left.plot(np.arange(1, len(gaps) + 1), gaps[:, at], color=colour, linewidth=1.6, marker="o", markersize=3)
            if len(gaps):  # none before the first day is over
                left.annotate(name, (len(gaps), gaps[-1, at]), color=colour, fontsize=8, xytext=(5, 0), **OFFSET)
        left.axhline(0.0, color=INK, linewidth=0.8)
        left.set_xlabel("day")
        left.set_ylabel("units above or below, %")
        left.set_title("Units by arm against their share", fontsize=9, loc="left")
        p = np.maximum(np.array(ratio.p_values or (1.0,)), 1e-12)
        right.plot(np.arange(1, p.size + 1), p, color=INK, linewidth=1.6, marker="o", markersize=3)
        right.axhline(0.001, color=COLOURS["worse"], linewidth=1, linestyle="--")
        right.set_yscale("log")
        right.set_ylim(min(1e-4, float(p.min()) / 3.0), 2.0)
        right.set_xlabel("day")
        right.set_title("Is the split right? p-value that holds every day", fontsize=9, loc="left")
        return figure


def segments(result: MetricResult) -> Figure | None:
    """Effects within segments with plain 95 % intervals: exploratory."""
    rows = [each for each in result.segments if each.reading.problem is None and each.reading.standard_error]
    if not rows:
        return None
    percent = 100.0 if result.scale == "relative" else 1.0
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 0.9 + 0.3 * len(rows)))
        axes = figure.subplots()
        axes.axvline(0.0, color=INK, linewidth=0.8)
        for row, each in enumerate(reversed(rows)):
            estimate = (each.reading.estimate or 0.0) * percent
            half = 1.959964 * (each.reading.standard_error or 0.0) * percent
            axes.plot([estimate - half, estimate + half], [row, row], color=FAINT, linewidth=1.8)
            axes.plot([estimate], [row], color=INK, marker="o", markersize=4)
        axes.set_yticks(range(len(rows)), [f"{each.attribute} = {each.value or 'none'}" for each in reversed(rows)])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("effect, %" if result.scale == "relative" else "effect")
        return figure


def svg(figure: Figure, title: str) -> str:
    """The figure as an inline SVG with an accessible title."""
    buffer = io.StringIO()
    with rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    drawing = buffer.getvalue()
    drawing = re.sub(r"<metadata>.*?</metadata>\s*", "", drawing[drawing.index("<svg") :], flags=re.DOTALL)
    # Coordinates with six decimals would be most of the page.
    drawing = re.sub(r"(\d+\.\d\d)\d+", r"\1", drawing)
    plain = title.replace("&", "&amp;").replace("<", "&lt;")
    return drawing.replace(">", f' role="img" aria-label="{plain.replace(chr(34), "")}"><title>{plain}</title>', 1)


def png(figure: Figure) -> bytes:
    """The figure as PNG, 144 dots an inch."""
    buffer = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=144, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _focus(axes: Axes, values: np.ndarray, margin: float | None, percent: float) -> None:
    """Show the later looks well: the first intervals may be many times as wide."""
    finite = values[np.isfinite(values)]
    reach = 2.2 * float(np.max(np.abs(finite))) if finite.size else 1.0
    reach = max(reach, 1.3 * (margin or 0.0) * percent, 1e-9)
    axes.set_ylim(-reach, reach)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
