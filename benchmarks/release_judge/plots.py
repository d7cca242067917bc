"""A good and a bad rollout, judged by the code itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from benchmarks.release_judge import ours

from identity_masker.release.evidence import Evidence, parse_evidence
from identity_masker.release.judge import trace
from identity_masker.release.policy import Policy
from identity_masker.release.verdict import Look

mpl.use("Agg")
BOUNDS = [25, 35, 50, 70, 100, 140, 200, 280, 400, 560, 800, 1600]
COLOURS = {"hold": "#c9c9c9", "promote": "#58a65c", "roll_back": "#c8553d"}


def evidence(seed: int, canary_errors: float, *, slower: float = 1.0, requests: int = 6000, minutes: int = 20) -> Any:
    """A rollout as an evidence document; the share rises every five minutes."""
    rng = np.random.default_rng(seed)
    intervals = []
    for minute in range(minutes):
        share = (0.05, 0.10, 0.25, 0.50)[min(minute // 5, 3)]
        n = int(rng.binomial(requests, share))
        arms = {"canary": (n, canary_errors, slower), "champion": (requests - n, 0.005, 1.0)}
        intervals.append({"seconds": 60, "share": share, "arms": {name: _arm(rng, *arm) for name, arm in arms.items()}})
    return {"intervals": intervals}


def write(folder: Path) -> None:
    """Draw both rollouts into `folder`/release.png."""
    import matplotlib.pyplot as plt

    policy = ours.policy()
    cases = (("a good release", evidence(1, 0.005)), ("canary fails 1.5 % instead of 0.5 %", evidence(2, 0.015)))
    figure, axes = plt.subplots(2, len(cases), figsize=(10, 5), sharex="col", sharey="row")
    for column, (title, document) in zip(axes.T, cases, strict=True):
        found = parse_evidence(json.loads(json.dumps(document)))
        assert isinstance(found, Evidence)
        _draw(column, title, policy, found, trace(policy, found))
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "release.png", dpi=110, metadata={"Software": None})


def _draw(axes: Any, title: str, policy: Policy, found: Evidence, looks: list[Look]) -> None:
    minutes = [look.seconds / 60.0 for look in looks]
    over = next((i + 1 for i, look in enumerate(looks) if look.verdict == "roll_back"), len(looks))
    shares = [interval.share or 0.0 for interval in found.intervals]
    for i in range(over):
        axes[0].axvspan(minutes[i] - 1.0, minutes[i], color=COLOURS[looks[i].verdict], alpha=0.6, lw=0)
        axes[1].axvspan(minutes[i] - 1.0, minutes[i], color=COLOURS[looks[i].verdict], alpha=0.6, lw=0)
    axes[0].step([0.0, *minutes[:over]], [*shares[:over], shares[over - 1]], where="post", color="black")
    axes[0].set(title=title, ylim=(0.0, 0.6), ylabel="canary's share")
    for name, colour in zip(sorted(policy.metrics), ("#8c2d19", "#b8860b", "#4b4b9d"), strict=True):
        axes[1].plot(
            minutes[:over], [look.e_values[name] for look in looks[:over]], color=colour, label=f"{name} worse"
        )
        values = [look.e_values_not_worse[name] for look in looks[:over]]
        axes[1].plot(minutes[:over], values, color=colour, ls="--", label=f"{name} not worse")
    axes[1].axhline(1.0 / policy.alpha.roll_back, color="black", lw=0.8)
    axes[1].set(yscale="log", ylim=(1e-3, 1e6), xlabel="minutes", ylabel="e-value", xlim=(0.0, 20.0))
    axes[1].legend(fontsize=6, loc="upper left")


def _arm(rng: np.random.Generator, requests: int, errors: float, slower: float) -> dict[str, Any]:
    failed = int(rng.binomial(requests, errors))
    latencies = rng.lognormal(np.log(100.0 * slower), 0.5, requests - failed)
    counts = np.bincount(np.searchsorted(BOUNDS, latencies), minlength=len(BOUNDS) + 1)
    attacked = max(requests // 4, 1)
    leaks = rng.random(attacked) < 0.05
    return {
        "requests": requests,
        "errors": failed,
        "latency_ms": {"bounds": BOUNDS, "counts": counts.tolist()},
        "leak": {"n": attacked, "mean": float(leaks.mean()), "var": float(leaks.var())},
    }
