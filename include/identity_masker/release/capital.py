"""How evidence from several sources is put together: a weighted average of e-values, which is an e-value itself.

Think of each source as a bet and of its weight as the capital put on it. Averages hold whatever the sources have to
do with each other. Weights are fixed at the first look, before anything is known; a source that turns up later lives
on the reserve, half of what is left of it each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

RESERVE = 0.05


class Capital:
    """Weights of sources, and their average."""

    def __init__(self) -> None:
        self.weights: dict[str, float] = {}
        self._reserve = 1.0

    def admit(self, sources: Mapping[str, float], *, complete: bool) -> None:
        """Give weight to the `sources` (name → wish) that have none yet; `complete` when no others will come."""
        new = {name: wish for name, wish in sorted(sources.items()) if name not in self.weights}
        if not new:
            return
        if not self.weights:
            spent, total = (1.0 if complete else 1.0 - RESERVE), sum(new.values())
            self.weights = {name: spent * wish / total for name, wish in new.items()}
            self._reserve = 1.0 - spent
            return
        for name in new:
            self.weights[name] = self._reserve / 2.0
            self._reserve /= 2.0

    def log_average(self, log_e_values: Mapping[str, float]) -> float:
        """Log of the weighted average; what is on no source counts as 1."""
        logs = [math.log(weight) + log_e_values[name] for name, weight in self.weights.items() if weight > 0.0]
        if self._reserve > 0.0:
            logs.append(math.log(self._reserve))
        largest = max(logs)
        return largest + math.log(math.fsum(math.exp(each - largest) for each in logs))
