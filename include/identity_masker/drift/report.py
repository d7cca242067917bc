"""The report on a window: one page that needs nothing from elsewhere, below 500 KB for any table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from jinja2 import Environment
from markupsafe import Markup

from identity_masker.drift.evidence import Column, Embedding, Evidence
from identity_masker.drift.plots import before_and_after, cloud, effect_bar, trend
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.verdict import ColumnVerdict, Verdict

if TYPE_CHECKING:
    from identity_masker.drift.changed_pictures import Pair
    from identity_masker.drift.estimates import Estimated

# Most important first; what does not fit is counted.
MOST_TRENDS = 12
MOST_PLOTS, MOST_ROWS, MOST_NOTES, MOST_REASONS = 80, 300, 100, 40
TEXT_LENGTH, NAME_LENGTH = 240, 80
WORDS = {
    "drift": "drift",
    "no_drift": "no drift",
    "not_enough_data": "not enough data",
    "schema_changed": "schema changed",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Traffic against training: {{ words }}</title>
<style>
  :root { color-scheme: light dark; --ink: #1d2433; --soft: #5c6577; --line: #dfe3ea; --page: #fff;
          --before: #b9c1cf; --now: #c2410c; --ok: #10542c; --ok-back: #ddf3e4; --bad: #7a1414; --bad-back: #fbdcdc;
          --wait: #6a4a00; --wait-back: #fdf0cd; }
  @media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa4b6; --line: #333b49; --page: #14181f;
          --before: #4d5769; --now: #fb923c; --ok: #b5e8c6; --ok-back: #143d24; --bad: #ffc9c9; --bad-back: #4c1616;
          --wait: #f7dd9a; --wait-back: #44340b; } }
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: var(--ink);
         background: var(--page); }
  h1 { margin-bottom: .3rem; } h2 { margin-top: 2.2rem; }
  .scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
  th, td { text-align: left; vertical-align: top; padding: .4rem .7rem; border-bottom: 1px solid var(--line); }
  td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
  .mark { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; font-weight: 600;
          white-space: nowrap; }
  .no_drift { background: var(--ok-back); color: var(--ok); } .drift { background: var(--bad-back); color: var(--bad); }
  .not_enough_data, .schema_changed { background: var(--wait-back); color: var(--wait); }
  .small { color: var(--soft); font-size: .9em; overflow-wrap: anywhere; }
  .grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 1.2rem; }
  figure { margin: 0; } figcaption { overflow-wrap: anywhere; }
  svg text { font: 10px system-ui, sans-serif; fill: var(--soft); } .end { text-anchor: end; }
  .middle { text-anchor: middle; } .before { fill: var(--before); } .fill { fill: var(--now); opacity: .85; }
  .line { fill: none; stroke: var(--now); stroke-width: 1.6; }
  .dots { fill: none; stroke: var(--before); stroke-width: 4; stroke-linecap: round; }
  .dots.now { stroke: var(--now); opacity: .55; }
  .axis { stroke: var(--line); } .floor { stroke: var(--soft); stroke-dasharray: 2 2; }
  .interval { stroke: var(--now); stroke-width: 2; } circle.now { fill: var(--now); }
  .key { display: inline-block; width: .9em; height: .9em; border-radius: 2px; vertical-align: -.1em; }
</style>
</head>
<body>
<h1>Traffic against training: {{ words }}</h1>
<p><span class="mark {{ verdict.verdict }}">{{ words }}</span>
  {% if verdict.causes %}of {{ verdict.causes | join(" and ") }}{% endif %}</p>
<ul>{% for reason in verdict.reasons[:most_reasons] %}<li>{{ cut(reason) }}</li>{% endfor %}
{% if more_reasons %}<li>{{ more_reasons }} more</li>{% endif %}</ul>
<p class="small">Reference: {{ cut(evidence.reference.source) }},
  {{ evidence.reference.rows }} rows{% if evidence.reference.model_version %}, model version
  {{ evidence.reference.model_version }}{% endif %}.
  Current window: {{ cut(evidence.current.source) }}, {{ evidence.current.rows }} rows.</p>

<h2>Columns</h2>
<div class="scroll"><table>
<tr><th>Column</th><th></th><th>Effect and its floor</th><th class="number">Effect</th>
  <th class="number">Adjusted p</th><th class="number">KS</th><th class="number">PSI</th>
  <th class="number">Wasserstein</th><th class="number">Missing</th></tr>
{% for row in rows %}
<tr><td>{{ name(row.name) }}<div class="small">{{ row.kind }}</div></td>
  <td><span class="mark {{ 'drift' if row.drift else 'no_drift' if row.tested else 'not_enough_data' }}">
    {{ "drift" if row.drift else "no drift" if row.tested else "not tested" }}</span></td>
  <td>{{ row.bar }}{% if not row.tested or row.drift %}<div class="small">{{ cut(row.reason) }}</div>{% endif %}</td>
  <td class="number">{{ number(row.effect) }}</td><td class="number">{{ number(row.adjusted) }}</td>
  <td class="number">{{ number(row.ks) }}</td><td class="number">{{ number(row.psi) }}</td>
  <td class="number">{{ number(row.wasserstein) }}</td><td class="number">{{ row.missing }}</td></tr>
{% endfor %}
</table></div>
{% if hidden %}<p class="small">{{ hidden }} more columns, with smaller effects, are in the JSON.</p>{% endif %}

<h2>Before and after</h2>
<p class="small"><span class="key" style="background: var(--before)"></span> reference
  <span class="key" style="background: var(--now)"></span> current window</p>
<div class="grid">
{% for column, text, plot in plots %}
<figure>{{ plot }}
<figcaption><strong>{{ name(column) }}</strong> <span class="small">{{ text }}</span></figcaption></figure>
{% endfor %}
</div>

{% if context.trend | length > 1 %}
<h2>Trend over nights</h2>
<p class="small">Effect of each column in floors, {{ context.trend.keys() | list | first }} to
  {{ context.trend.keys() | list | last }}; the dashed line is the floor.</p>
<div class="grid">
{% for column, plot in trends %}
<figure>{{ plot }}<figcaption><strong>{{ name(column) }}</strong></figcaption></figure>
{% endfor %}
</div>
{% endif %}

{% if context.pairs %}
<h2>Masked pictures least like the reference</h2>
<p class="small">Left a masked picture of the window, right the masked picture of the reference that is most like it.
  The number is its distance in distances that the reference's own pictures have.</p>
<div class="grid">
{% for pair in context.pairs %}
<figure><img alt="masked, now" width="128" height="128" src="data:image/jpeg;base64,{{ pair.now }}">
<img alt="masked, reference" width="128" height="128" src="data:image/jpeg;base64,{{ pair.before }}">
<figcaption class="small">{{ name(pair.request) }}: {{ number(pair.distance) }}</figcaption></figure>
{% endfor %}
</div>
{% endif %}

{% if context.estimates %}
<h2>How good the model is, as far as it can be told</h2>
<ul>
{% for each in context.estimates %}
<li><strong>{{ name(each.name) }}</strong>
{% if each.performance %}{{ number(each.performance.mean) }} ({{ number(each.performance.low) }} to
  {{ number(each.performance.high) }}), {{ each.performance.method | replace("_", " ") }} with
  {{ each.performance.labels }} labels on {{ each.performance.rows }} rows; assumes that
  {{ each.performance.assumes }}{% else %}{{ cut(each.note) }}{% endif %}</li>
{% endfor %}
</ul>
{% endif %}

{% for each in evidence.embeddings if each.different %}
<h2>Rows of the current window least like the reference: {{ name(each.name) }}</h2>
<p class="small">
{% for item in each.different %}
{{ name(item.row) }} ({{ number(item.score) }}){{ ", " if not loop.last }}
{% endfor %}</p>
{% endfor %}

{% if verdict.findings %}
<h2>Quality of the data</h2>
<ul>{% for finding in verdict.findings[:most_notes] %}<li><strong>{{ name(finding.column) }}</strong>
  {% if finding.severity == "fault" %}<span class="mark drift">fault</span>{% endif %} {{ cut(finding.text) }}</li>
{% endfor %}</ul>
{% endif %}

{% if context.training %}
<p>Training: {{ cut(context.training) }}.</p>
{% endif %}

<h2>What the verdict rests on</h2>
<p>Drift needs a difference that is significant and an effect at its floor or above. Without drift, at most one night
in {{ policy.false_alarms.nights }} raises an alarm, over all columns and tests together
(levels tonight: {{ levels or "nothing was tested" }}); p-values are adjusted for the number of columns
({{ policy.false_alarms.across_columns | replace("_", " ") }}).
{% if evidence.effective_columns %}The numeric columns are worth {{ number(evidence.effective_columns) }} independent
ones.{% endif %} Effects have lost what chance adds to a distance and carry a
{{ (policy.confidence * 100) | round(1) }} % interval: of numbers, the Wasserstein distance in units of the reference's
spread; of categories, the share of rows to relabel; of vectors, 2 AUC - 1 of a classifier.</p>
</body>
</html>
"""


@dataclass(frozen=True)
class Context:
    """What the nightly check knows beside the evidence. `trend`: effects in floors by column, nights in order."""

    estimates: Sequence[Estimated] = ()
    trend: Mapping[date, Mapping[str, float]] = field(default_factory=dict)
    pairs: Sequence[Pair] = ()
    training: str = ""


def page(evidence: Evidence, verdict: Verdict, policy: DriftPolicy, context: Context | None = None) -> str:
    """The report as HTML. All names and values are escaped."""
    judged = {column.name: column for column in verdict.columns}
    columns = sorted(evidence.measured, key=lambda column: _importance(column, judged[column.name]))
    plotted = [column for column in columns if _plot(column)][:MOST_PLOTS]
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_PAGE).render(
        words=WORDS[verdict.verdict],
        verdict=verdict,
        evidence=evidence,
        policy=policy,
        context=context or Context(),
        trends=_trends(context.trend) if context else [],
        rows=[_row(column, judged[column.name]) for column in columns[:MOST_ROWS]],
        levels=", ".join(f"{family} {_number(alpha)}" for family, alpha in verdict.alphas.items()),
        more_reasons=max(0, len(verdict.reasons) - MOST_REASONS),
        hidden=max(0, len(columns) - MOST_ROWS),
        plots=[(column.name, _size(column), _plot(column)) for column in plotted],
        most_notes=MOST_NOTES,
        most_reasons=MOST_REASONS,
        number=_number,
        cut=_cut,
        name=_name,
    )


def _trends(nights: Mapping[date, Mapping[str, float]]) -> list[tuple[str, Markup]]:
    """A plot for each column, the largest effects of any night first."""
    highest: dict[str, float] = {}
    for effects in nights.values():
        for column, effect in effects.items():
            highest[column] = max(effect, highest.get(column, 0.0))
    order = sorted(highest, key=lambda column: -highest[column])[:MOST_TRENDS]
    return [(column, trend(column, [effects.get(column) for effects in nights.values()])) for column in order]


def _importance(column: Column | Embedding, judged: ColumnVerdict) -> tuple[bool, float]:
    return not judged.drift, -(column.effect.value / (judged.floor or 1e-9) if column.effect else -1.0)


def _row(column: Column | Embedding, judged: ColumnVerdict) -> dict[str, object]:
    effect, missing = column.effect, column.missing
    return {
        "name": column.name,
        "kind": column.kind if isinstance(column, Column) else "embedding",
        "tested": column.status == "tested",
        "drift": judged.drift,
        "reason": judged.reason,
        "bar": effect_bar(effect, judged.floor or 0.0) if effect else Markup(""),
        "effect": effect.value if effect else None,
        "adjusted": judged.adjusted_p_value,
        "ks": column.ks if isinstance(column, Column) else None,
        "psi": column.psi if isinstance(column, Column) else None,
        "wasserstein": column.wasserstein if isinstance(column, Column) else None,
        "missing": f"{missing.reference:.1%} → {missing.current:.1%}" if missing else "",
    }


def _plot(column: Column | Embedding) -> Markup:
    if isinstance(column, Embedding):
        return cloud(column)
    if column.histogram is None:
        return Markup("")
    return before_and_after(column.histogram, f"{_name(column.name)}: shares in the reference and now")


def _size(column: Column | Embedding) -> str:
    if isinstance(column, Embedding):
        return f"{column.dimensions} dimensions, two principal axes"
    before, now = column.reference, column.current
    if before.mean is None or now.mean is None:
        return ""
    return f"mean {before.mean:.3g} → {now.mean:.3g}, sd {before.sd:.3g} → {now.sd:.3g}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _cut(text: str, length: int = TEXT_LENGTH) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _name(text: str) -> str:
    return _cut(text, NAME_LENGTH)
