"""Years of nights without drift: how many raise an alarm?

Every year has a reference of its own, so that the shared reference's bad luck is averaged over, and its nights go
through the evidence and verdict that `masker drift compare` uses. Beside the verdict stands the significance alone,
with every effect floor at zero, at the stated level and at two larger ones that show the calibration with fewer nights.
"""

from __future__ import annotations

import time
from datetime import date, timedelta

import numpy as np
from benchmarks.drift.tables import rows as random_rows
from benchmarks.drift.tables import show, summary

from identity_masker.drift.compare import collect
from identity_masker.drift.evidence import Window
from identity_masker.drift.nights import remember, slow_history
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.verdict import judge

REFERENCE_ROWS = {100: 20_000, 1_000: 20_000, 10_000: 20_000, 100_000: 100_000}
LEVELS = (0.01, 0.05)
HEADER = (
    *("rows a night", "columns", "nights", "alarms (verdict)", "slow alarms", "bound", "significant alone"),
    *("share of nights p ≤ .01", "p ≤ .05", "s a night"),
)


def run(rows: list[int], years: int, nights: int, columns: int, across: str, correlation: list[float]) -> None:
    policy = DriftPolicy.model_validate({"false_alarms": {"across_columns": across}, "kept_rows": 5_000})
    print(f"one false alarm in {policy.false_alarms.nights} nights, {across.replace('_', ' ')}\n")
    lines = []
    for share in correlation:
        for count in rows:
            kind = f"{columns}, correlated {share:g}" if share else f"{columns}, independent"
            lines.append((f"{count:,}", kind, *_years(count, (years, nights), columns, share, policy)))
    show(HEADER, lines)


def _years(
    count: int, length: tuple[int, int], columns: int, correlation: float, policy: DriftPolicy
) -> tuple[object, ...]:
    years, nights_a_year = length
    smallest, alarms, slow, started = [], 0, 0, time.process_time()
    for year in range(years):
        rng = np.random.default_rng((count, int(100 * correlation), year))
        size = REFERENCE_ROWS.get(count, 20_000)
        reference = summary(random_rows(rng, size, columns, correlation), policy, 1)
        nights = []
        for night in range(nights_a_year):
            current = summary(random_rows(rng, count, columns, correlation), policy, 2)
            windows = [Window(source="", rows=side.rows) for side in (reference, current)]
            evidence = collect(reference, current, policy, reference=windows[0], current=windows[1])
            verdict = judge(evidence, policy)
            alarms += verdict.verdict == "drift"
            smallest.append(min(column.adjusted_p_value or 0.0 for column in verdict.columns))
            nights.append(remember(date(2026, 1, 1) + timedelta(days=night), "r", evidence, verdict))
        slow += sum(bool(state.drifted) for state in slow_history(nights, policy))
    found, level = np.array(smallest), verdict.alphas["columns"]
    bound = f"{nights_a_year * years / policy.false_alarms.nights:.0f} expected"
    shares = (f"{np.mean(found <= each):.4f}" for each in LEVELS)
    pace = f"{(time.process_time() - started) / (nights_a_year * years):.3f}"
    return nights_a_year * years, alarms, slow, bound, int(np.sum(found <= level)), *shares, pace
