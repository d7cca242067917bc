"""The whole policy canary.yaml: errors, latency and leak together, in the verdicts that a rollout would get."""

from __future__ import annotations

import numpy as np
from benchmarks.release_judge import ours, tables
from benchmarks.release_judge.worlds import SHARES, TICKS, Counts, Floats, autoregressive, rollout, world
from scipy import stats

BOUNDS = 100.0 * 1.3 ** np.arange(-8.0, 9.0)
DEVIATION, LEAK, LEAK_SAMPLE = 0.5, 0.05, 0.1
# name, canary's errors, latency factor, leak, deviation of each arm's level (ρ = 0.8), incident
CELLS = (
    ("no difference", 0.005, 1.0, LEAK, 0.0, None),
    ("no difference, each arm wanders 15 %, ρ = 0.8", 0.005, 1.0, LEAK, 0.15, None),
    ("no difference, shared 3 % incident", 0.005, 1.0, LEAK, 0.0, (0.03, 2)),
    ("canary 1.5 % errors", 0.015, 1.0, LEAK, 0.0, None),
    ("canary 5 % errors", 0.050, 1.0, LEAK, 0.0, None),
    ("canary +50 % latency", 0.005, 1.5, LEAK, 0.0, None),
    ("canary leaks twice as much", 0.005, 1.0, 2.0 * LEAK, 0.0, None),
)


def run(runs: int, seed: int) -> bool:
    """P(roll back) / mean intervals to it, and P(promote) first."""
    print(f"\n{runs} runs a cell, all metrics of canary.yaml, ten looks an interval")
    print("\n| truth | " + " | ".join(f"{n} an interval: roll back / intervals, promote" for n in (2000, 20000)) + " |")
    print("|---|---|---|")
    met = True
    for number, (name, errors, slower, leak, wander, incident) in enumerate(CELLS):
        cells = []
        for requests in (2000, 20000):
            rng = np.random.default_rng([seed, requests, number])
            levels = world(rng, runs, 0.005, errors, incident=incident, wander=wander)
            counts = rollout(rng, levels, requests)
            found = _verdicts(rng, counts, slower, leak, wander)
            promoted = float(np.mean(found.promote < found.roll_back))
            cells.append(f"{tables._cell(found.roll_back)}, {promoted:.3f}")
            if name.startswith("no difference"):
                rate = float(np.mean(np.isfinite(found.roll_back) & (found.roll_back <= found.promote)))
                met &= tables.bar(f"false rollback, whole policy, {requests}, {name}", rate, "≤", 0.05)
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    return met


def _verdicts(rng: np.random.Generator, counts: Counts, slower: float, leak: float, wander: float) -> ours.Outcome:
    policy, runs = ours.policy(), counts.canary.shape[0]
    requests = (counts.canary_requests, counts.champion_requests)
    canary, champion = (_latencies(rng, n, np.log(f), wander) for n, f in zip(requests, (slower, 1.0), strict=True))
    slow, slope = ours.tail_counts(canary, champion, BOUNDS, 0.95)
    found = {
        "errors": ours.paths(counts, policy.metrics["errors"], 1.0 / TICKS),
        "latency_p95": ours.paths(slow, policy.metrics["latency_p95"], 1.0 / TICKS, slope),
        "leak": ours.paths(_leaks(rng, requests, leak, wander), policy.metrics["leak"], 1.0 / TICKS),
    }
    total = sum(rule.weight for rule in policy.metrics.values())
    weights = {name: rule.weight / total for name, rule in policy.metrics.items()}
    worse = np.logaddexp.reduce([np.log(weights[name]) + path.worse for name, path in found.items()], axis=0)
    not_worse = np.min([path.not_worse for path in found.values()], axis=0)
    verdict = ours.outcome(ours.Paths(worse, not_worse))
    assert runs == verdict.roll_back.size
    return ours.Outcome(verdict.roll_back / TICKS, verdict.promote / TICKS)


def _latencies(rng: np.random.Generator, requests: Floats, shift: float, wander: float) -> Floats:
    """Bucket counts of log-normal latencies, shape (runs, looks, buckets)."""
    level = shift + _wandering(rng, requests.shape[0], wander)
    edges = (np.log(BOUNDS / 100.0) - level[..., None]) / DEVIATION
    below = np.concatenate([stats.norm.cdf(edges), np.ones((*level.shape, 1))], axis=-1)
    shares = np.diff(below, axis=-1, prepend=0.0)
    return rng.multinomial(requests.astype(np.int64), shares).astype(np.float64)


def _leaks(rng: np.random.Generator, requests: tuple[Floats, Floats], leak: float, wander: float) -> Counts:
    """Recognised faces among the tenth of the pictures that is attacked."""
    attacked = [rng.binomial(n.astype(np.int64), LEAK_SAMPLE) for n in requests]
    levels = [
        level * np.exp(_wandering(rng, n.shape[0], wander)) for level, n in zip((leak, LEAK), requests, strict=True)
    ]
    found = [rng.binomial(n, np.minimum(level, 0.95)) for n, level in zip(attacked, levels, strict=True)]
    return Counts(*(part.astype(np.float64) for part in (*found, *attacked)))


def _wandering(rng: np.random.Generator, runs: int, deviation: float) -> Floats:
    if deviation == 0.0:
        return np.zeros((runs, SHARES.size * TICKS))
    return np.repeat(deviation * autoregressive(rng, runs, SHARES.size, 0.8), TICKS, axis=1)
