"""Bandits: what they save in regret, and whether the intervals after them can be believed.

Twenty periods of 500 units, three arms, standard deviation 1, floor 5 %. The same data are read twice: the plain
difference of means with its plain interval, and the estimate that compares within periods.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from benchmarks.experiments.tables import show
from scipy import stats

from identity_masker.statistics import adaptive, bandits

PERIODS, UNITS = 20, 500
WORLDS = {
    "no difference": (0.0, 0.0, 0.0),
    "one better by .1": (0.0, 0.0, 0.1),
    "best by .05 over second": (0.0, 0.05, 0.1),
    "all drift up, one better by .1": (0.0, 0.0, 0.1),
}
Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]


def run(runs: int) -> None:
    rules: dict[str, Rule] = {
        "even split": lambda mean, sd: np.full(3, 1 / 3),
        "top-two Thompson": lambda mean, sd: bandits.allocate(mean, sd, floor=0.05),
        "Thompson": lambda mean, sd: bandits.allocate(mean, sd, beta=1.0, floor=0.05),
    }
    lines: list[tuple[object, ...]] = []
    for world, means in WORLDS.items():
        for name, rule in rules.items():
            periods = _simulated(np.array(means), rule, runs, drift=0.5 if "drift" in world else 0.0)
            lines.append((world, name, *_read(periods, np.array(means))))
    show(("world", "rule", "regret a unit", "naive bias", "naive coverage", "our bias", "our coverage"), lines)


def _simulated(means: np.ndarray, rule: Rule, runs: int, drift: float) -> adaptive.Periods:
    rng = np.random.default_rng(5)
    shape = (runs, PERIODS, means.size)
    counts, observed, scatters, shares = (np.zeros(shape) for _ in range(4))
    for k in range(runs):
        total, summed, weights = np.zeros(3), np.zeros(3), np.full(3, 1 / 3)
        for t in range(PERIODS):
            shares[k, t] = weights
            n = rng.multinomial(UNITS, weights)
            counts[k, t] = n
            observed[k, t] = rng.normal(means + drift * t / PERIODS, 1.0 / np.sqrt(np.maximum(n, 1)))
            scatters[k, t] = rng.chisquare(np.maximum(n - 1, 1))
            total, summed = total + n, summed + n * observed[k, t]
            weights = rule(summed / total, 1.0 / np.sqrt(total))
    return adaptive.Periods.of(counts, observed, scatters, shares)


def _read(periods: adaptive.Periods, means: np.ndarray) -> tuple[str, ...]:
    """Regret, then bias and coverage of arm 2 against arm 0, read plainly and within periods."""
    truth, z = means[2] - means[0], float(stats.norm.isf(0.025))
    n = periods.counts.sum(axis=1)
    level = (periods.counts * periods.means).sum(axis=1) / n
    scatter = (periods.scatters + periods.counts * (periods.means - level[:, None]) ** 2).sum(axis=1)
    variance = scatter / (n - 1) / n
    plain = level[:, 2] - level[:, 0]
    plain_covers = np.abs(plain - truth) <= z * np.sqrt(variance[:, 2] + variance[:, 0])
    ours, spread, _ = adaptive.batched_estimates(periods, 0, 2)
    covers = np.abs(ours - truth) <= z * np.sqrt(spread)
    regret = float(np.mean((n * (means.max() - means)).sum(axis=1) / n.sum(axis=1)))
    return (
        f"{regret:.4f}",
        f"{plain.mean() - truth:+.4f}",
        f"{plain_covers.mean():.1%}",
        f"{ours.mean() - truth:+.4f}",
        f"{covers.mean():.1%}",
    )
