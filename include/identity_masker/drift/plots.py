"""Plots of a column before and after, as SVG small enough for a hundred of them on one page.

Colours come from the page's style sheet (classes), so they follow its light and dark themes. Whatever comes from the
data is put in by `Markup.format`, which escapes it.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from identity_masker.drift.evidence import Effect, Embedding, Histogram

WIDTH, HEIGHT, BASE = 300, 90, 76
MOST_BARS = 12
NAME_LENGTH = 14
FLOORS_SHOWN = 4.0

_SVG = Markup('<svg viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{label}">{body}</svg>')
_EFFECT = Markup(
    '<line class="axis" x1="0" y1="8" x2="200" y2="8"/><line class="floor" x1="{limit}" y1="1" x2="{limit}" y2="15"/>'
    '<line class="interval" x1="{low}" y1="8" x2="{high}" y2="8"/><circle class="now" cx="{value}" cy="8" r="3.5"/>'
)
_STEPS = Markup(
    '<path class="before" d="{before}Z"/><path class="now line" d="{now}"/>'
    '<text x="0" y="{y}">{low:.3g}</text><text x="{x}" y="{y}" class="end">{high:.3g}</text>'
)
_BAR = Markup('<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>')
_NAME = Markup('<text x="{x:.0f}" y="{y}" class="middle">{name}</text>')
_TREND = Markup(
    '<line class="axis" x1="0" y1="{base}" x2="{width}" y2="{base}"/><path class="line" d="{line}"/>'
    '<line class="floor" x1="0" y1="{floor}" x2="{width}" y2="{floor}"/><path class="dots now" d="{dots}"/>'
)
_DOTS = Markup('<path class="dots {name}" d="{dots}"/>')


def before_and_after(histogram: Histogram, label: str) -> Markup:
    """Both windows' shares over the same bins: the reference filled, the current window as a line (or bars)."""
    return _svg(_bars(histogram) if histogram.names else _steps(histogram), label)


def effect_bar(effect: Effect, floor: float) -> Markup:
    """The effect with its interval on a line that carries the floor, at one place for all columns.

    The line is four floors long; what is larger ends there.
    """
    length = FLOORS_SHOWN * floor or max(effect.high, 1e-9)
    low, value, high, limit = (
        round(200 * min(x / length, 1.0), 1) for x in (effect.low, effect.value, effect.high, floor)
    )
    label = f"effect {effect.value:.3g}, {effect.low:.3g} to {effect.high:.3g}, floor {floor:g}"
    return _svg(_EFFECT.format(low=low, value=value, high=high, limit=limit), label, width=200, height=16)


def cloud(embedding: Embedding) -> Markup:
    """Some rows of both windows on the first two principal axes."""
    points = [point for side in embedding.points for point in side]
    if not points:
        return Markup("")
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    sides = []
    for name, side in zip(("before", "now"), embedding.points, strict=False):
        dots = "".join(
            f"M{4 + _part(x, left, right) * (WIDTH - 8):.0f} {4 + (1 - _part(y, low, high)) * (HEIGHT * 2 - 8):.0f}h0"
            for x, y in side
        )
        sides.append(_DOTS.format(name=name, dots=dots))
    return _svg(Markup("").join(sides), f"{embedding.name}: rows on two principal axes", height=HEIGHT * 2)


def trend(name: str, effects: Sequence[float | None]) -> Markup:
    """Effects of the nights in floors as a line with a dot a night, and the floor; None is a night without one."""
    known = [effect for effect in effects if effect is not None]
    top = max(*known, 1.5) if known else 1.5
    width = WIDTH / max(len(effects), 1)
    points = [
        (round((night + 0.5) * width, 1), round(BASE - effect / top * (BASE - 4), 1))
        for night, effect in enumerate(effects)
        if effect is not None
    ]
    line = " ".join(f"{'M' if at == 0 else 'L'}{x} {y}" for at, (x, y) in enumerate(points))
    dots = "".join(f"M{x} {y}h0" for x, y in points)
    floor = round(BASE - (BASE - 4) / top, 1)
    return _svg(_TREND.format(floor=floor, width=WIDTH, base=BASE, line=line, dots=dots), f"{name}: effect by night")


def _steps(histogram: Histogram) -> Markup:
    top = max(*histogram.reference, *histogram.current, 1e-9)
    return _STEPS.format(
        before=_outline(histogram.reference, top),
        now=_outline(histogram.current, top),
        low=histogram.edges[0],
        high=histogram.edges[-1],
        x=WIDTH,
        y=HEIGHT - 2,
    )


def _outline(shares: tuple[float, ...], top: float) -> str:
    width = WIDTH / len(shares)
    steps = (f"V{BASE - share / top * (BASE - 4):.1f}H{(index + 1) * width:.0f}" for index, share in enumerate(shares))
    return f"M0 {BASE}{''.join(steps)}V{BASE}"


def _bars(histogram: Histogram) -> Markup:
    shown = min(len(histogram.names), MOST_BARS)
    top = max(*histogram.reference, *histogram.current, 1e-9)
    width = WIDTH / max(shown, 1)
    parts = []
    for index, name in enumerate(histogram.names[:shown]):
        for offset, kind, share in (
            (0.08, "before", histogram.reference[index]),
            (0.5, "now fill", histogram.current[index]),
        ):
            height = share / top * (BASE - 4)
            parts.append(
                _BAR.format(kind=kind, x=(index + offset) * width, y=BASE - height, width=0.42 * width, height=height)
            )
        if width >= 40:
            short = name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"
            parts.append(_NAME.format(x=(index + 0.5) * width, y=HEIGHT - 2, name=short))
    return Markup("").join(parts)


def _part(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def _svg(body: Markup, label: str, *, width: int = WIDTH, height: int = HEIGHT) -> Markup:
    return _SVG.format(w=width, h=height, label=label, body=body)
