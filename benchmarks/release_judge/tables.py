"""The tables of the benchmark. Each function prints one in Markdown and returns whether the bars of it were met."""

from __future__ import annotations

import numpy as np
from benchmarks.release_judge import ours, rivals
from benchmarks.release_judge.worlds import TICKS, Floats, World, rollout, world
from scipy import stats

BASE = 0.005
# (name, canary level, champion level, options, whether the canary is no worse, in table 5.3 of the research)
SAME = "no difference"
ERRORS: tuple[tuple[str, float, float, dict[str, object]], ...] = (
    ("both 0.5 %", BASE, BASE, {}),
    ("shared 3 % incident in 2 intervals", BASE, BASE, {"incident": (0.03, 2)}),
    ("both 1.5 %", 0.015, 0.015, {}),
    ("shared level wanders 50 %, ρ = 0.8", BASE, BASE, {"shared": 0.5}),
    ("each arm wanders 15 %, ρ = 0.8", BASE, BASE, {"wander": 0.15}),
    ("each arm wanders 15 %, ρ = 0.8, and incident", BASE, BASE, {"wander": 0.15, "incident": (0.03, 2)}),
    ("each arm wanders 30 %, ρ = 0.8", BASE, BASE, {"wander": 0.3}),
    ("errors in bursts, ρ = 0.8", BASE, BASE, {"burst": 0.8}),
    ("canary 1.0 %", 0.010, BASE, {}),
    ("canary 1.5 %", 0.015, BASE, {}),
    ("canary 5 %", 0.050, BASE, {}),
)
# Beyond what the policy's `noise` says two arms may do by themselves (below: what it makes of them when it says so), or
# outside the cells asked for.
NOT_A_BAR = ("each arm wanders 30 %, ρ = 0.8", "errors in bursts, ρ = 0.8")
WANDER, TOLD = 0.3, 0.36


def counters() -> bool:
    """Table 5.2: exact false and true alarms of a failure counter on 99 % success, 10 checks."""
    print("\n| requests a window | true errors | P(check fails) | Flagger T=2 / 5 / 10 | Argo limit 0 / 1 / 3 |")
    print("|---|---|---|---|---|")
    for n, level in ((20, 0.005), (50, 0.005), (100, 0.005), (20, 0.03), (10, 0.03)):
        fails = float(stats.binom.sf(np.floor(n * rivals.HIGHEST_ERROR_SHARE), n, level))
        flagger = [float(stats.nbinom.cdf(9, t, fails)) for t in (2, 5, 10)]
        argo = [float(stats.binom.sf(limit, 10, fails)) for limit in (0, 1, 3)]
        print(f"| {n} | {level:.1%} | {fails:.3f} | {_slashed(flagger)} | {_slashed(argo)} |")
    return True


def errors(runs: int, seed: int, with_kayenta: bool = True) -> bool:
    """Table 5.3: four deciders on the same rollouts. P(rollback) / mean intervals to it."""
    print(f"\n{runs} runs a cell: P(roll back) / mean intervals to it")
    print("\n| requests an interval | truth | Flagger | Argo | Kayenta | ours | ours, a look an interval |")
    print("|---|---|---|---|---|---|---|")
    met = True
    for requests in (200, 2000, 20000):
        for number, (name, canary, champion, options) in enumerate(ERRORS):
            rng = np.random.default_rng([seed, requests, number])
            levels = world(rng, runs, champion, canary, **options)  # type: ignore[arg-type]
            row = _errors_row(rng, levels, requests, with_kayenta)
            print(f"| {requests} | {name} | " + " | ".join(_cell(times) for times in row) + " |", flush=True)
            met &= _errors_bar(name, canary == champion, requests, row[3])
    return met


def told(runs: int, seed: int) -> bool:
    """What the judge makes of arms that wander far when the policy's `noise.sd` says so: P(roll back) / intervals."""
    print(f"\n{runs} runs a cell, each arm wanders {WANDER:.0%}, ρ = 0.8, and `noise.sd` says {TOLD:g}")
    print("\n| requests an interval | no difference | canary 5 % |")
    print("|---|---|---|")
    rule, met = ours.rule("errors"), True
    told_rule = rule.model_copy(update={"noise": rule.noise.model_copy(update={"sd": TOLD})})
    for requests in (200, 2000, 20000):
        cells = []
        for number, canary in enumerate((BASE, 0.05)):
            rng = np.random.default_rng([seed, requests, number])
            counts = rollout(rng, world(rng, runs, BASE, canary, wander=WANDER), requests)
            cells.append(ours.outcome(ours.paths(counts, told_rule, 1.0 / TICKS)).roll_back / TICKS)
        met &= bar(
            f"false rollback, {requests}, each arm wanders 30 % and the policy says so", _rate(cells[0]), "≤", 0.05
        )
        print(f"| {requests} | " + " | ".join(_cell(times) for times in cells) + " |", flush=True)
    return met


def _errors_row(rng: np.random.Generator, levels: World, requests: int, with_kayenta: bool) -> list[Floats]:
    counts = rollout(rng, levels, requests)
    never = np.full(levels.canary.shape[0], np.inf)
    coarse = ours.outcome(ours.paths(counts.every(TICKS), ours.rule("errors"), 1.0))
    return [
        rivals.flagger(rng, levels, requests),
        rivals.argo(counts),
        rivals.kayenta(counts) if with_kayenta else never,
        ours.errors(counts).roll_back,
        coarse.roll_back,
    ]


def _errors_bar(name: str, same: bool, requests: int, times: Floats) -> bool:
    found, mean = _rate(times), _mean(times)
    if same:
        return name in NOT_A_BAR or bar(f"false rollback, {requests}, {name}", found, "≤", 0.05)
    if requests == 2000 and name == "canary 1.5 %":
        return bar("canary 1.5 % found", found, "≥", 0.99) & bar("… in intervals", mean, "≤", 3.5)
    if requests == 2000 and name == "canary 5 %":
        return bar("canary 5 % found in intervals", mean, "≤", 1.0)
    return True


def promotion(runs: int, seed: int) -> bool:
    """Table of 6.2: promote, roll back or hold by true risk ratio, margin 2."""
    print(f"\n{runs} runs a cell, margin 2: promote / roll back / hold after ten intervals")
    print("\n| risk ratio | " + " | ".join(f"{n} an interval" for n in (200, 2000, 20000)) + " |")
    print("|---|---|---|---|")
    met = True
    for ratio in (0.5, 1.0, 1.5, 2.0, 3.0, 10.0):
        cells = []
        for requests in (200, 2000, 20000):
            rng = np.random.default_rng([seed, requests, int(10 * ratio)])
            found = ours.errors(rollout(rng, world(rng, runs, BASE, ratio * BASE), requests))
            promoted = np.mean((found.promote < found.roll_back) & np.isfinite(found.promote))
            back = np.mean((found.roll_back <= found.promote) & np.isfinite(found.roll_back))
            cells.append(f"{promoted:.3f} / {back:.3f} / {1.0 - promoted - back:.3f}")
            if ratio == 2.0:
                met &= bar(f"false promotion at ratio 2, {requests}", float(promoted), "≤", 0.05)
            if ratio == 1.0 and requests == 20000:
                met &= bar("good canary promoted, 20000", float(promoted), "≥", 0.95)
        print(f"| {ratio:g} | " + " | ".join(cells) + " |", flush=True)
    return met


def bar(what: str, value: float, sign: str, limit: float) -> bool:
    """Check one bar; what is missed is printed below the table."""
    met = value <= limit if sign == "≤" else value >= limit
    _BARS.append((met, f"{what}: {value:.3f} {sign} {limit:g}"))
    return met


def print_bars() -> None:
    print("\n" + "\n".join(f"- {'met' if met else 'MISSED'}: {text}" for met, text in _BARS))


_BARS: list[tuple[bool, str]] = []


def _rate(times: Floats) -> float:
    return float(np.mean(np.isfinite(times)))


def _mean(times: Floats) -> float:
    return float(np.mean(times[np.isfinite(times)])) if np.any(np.isfinite(times)) else 0.0


def _cell(times: Floats) -> str:
    return f"{_rate(times):.3f} / {_mean(times):.1f}" if _rate(times) > 0.0 else "0.000"


def _slashed(values: list[float]) -> str:
    return " / ".join(f"{value:.3f}" for value in values)
