"""The report of a validation as one page that needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from jinja2 import Environment

from identity_masker.faces.findings import Report
from identity_masker.faces.versions import VersionRecord

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ report.version }}: validation</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1d2433; }
  h1 { margin-bottom: 0; } h2 { margin-top: 2rem; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: left; vertical-align: top; padding: .4rem .7rem; border-bottom: 1px solid #dfe3ea; }
  td.number { text-align: right; font-variant-numeric: tabular-nums; }
  .verdict, .state { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; font-weight: 600; }
  .kept { background: #ddf3e4; color: #10542c; } .stop { background: #fbdcdc; color: #7a1414; }
  .example { display: flex; gap: .5rem; align-items: center; margin: .15rem 0; } .example img { width: 2.5rem; }
  .warn { background: #fdf0cd; color: #6a4a00; }
  .small { color: #5c6577; font-size: .9em; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>{{ report.version }}</h1>
<p class="small">{{ record.origin }} · snapshot {{ report.snapshot }} ·
  validated {{ report.validated_at.isoformat(timespec="minutes") }}</p>
<p><span class="verdict {{ 'kept' if report.ok else 'stop' }}">
  {{ "may be used" if report.ok else "may not be used" }}</span>
  {{ report.failed_rules | length }} rules that stop and {{ report.warnings | length }} that warn are broken,
  of {{ report.findings | length }}.
  <a href="data_docs/index.html">Great Expectations Data Docs</a></p>

<h2>Rules</h2>
<table>
<tr><th>Rule</th><th>Outcome</th><th>Expected</th><th>Found</th><th>Why, and what to do</th></tr>
{% for finding in report.findings | sort(attribute="ok") %}
<tr>
  <td>{{ finding.rule }}<div class="small">{{ finding.table }}</div></td>
  <td>{% if finding.ok %}<span class="state kept">kept</span>
      {% else %}<span class="state {{ finding.severity }}">{{ finding.severity }}</span>{% endif %}</td>
  <td>{{ finding.asks }}</td>
  <td>{{ finding.found() }}
      {% for name, detail in finding.told() %}<div class="small example">
        {% if finding.table == "images" and pictures[name] %}<img src="{{ pictures[name] }}" alt="">{% endif %}
        {{ name }}{{ ": " ~ detail if detail }}</div>{% endfor %}</td>
  <td>{{ finding.why }}<div class="small">{{ finding.fix }}</div></td>
</tr>
{% endfor %}
</table>

<h2>Inputs</h2>
<table>
{% for name in ("inputs", "accepted", "quarantined", "duplicates") %}
<tr><td>{{ name }}</td><td class="number">{{ counts[name] }}</td></tr>
{% endfor %}
{% for reason, count in counts.reasons.items() %}
<tr><td class="small">quarantined: {{ reason }}</td><td class="number">{{ count }}</td></tr>
{% endfor %}
</table>
<p class="small">Every input left out is named in {{ record.account_uri }}.</p>

<h2>Splits</h2>
<table>
<tr><th>Split</th><th>People</th><th>Images</th></tr>
{% for split, people in counts.split_people.items() %}
<tr><td>{{ split }}</td><td class="number">{{ people }}</td>
    <td class="number">{{ counts.split_images[split] }}</td></tr>
{% endfor %}
</table>
</body>
</html>
"""


def page(report: Report, record: VersionRecord, pictures: Mapping[str, str]) -> str:
    """`report` on the version of `record` as HTML; the broken rules come first.

    `pictures` holds addresses of pictures by name, for examples.
    """
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_PAGE)
    return template.render(report=report, record=record, pictures=pictures, counts=record.counts.model_dump())
