"""The record that a unit met its variant: written once for each unit, with the probability that it had."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import NamedTuple

from identity_masker.experiments.assignment import Assignment, Rule

REMEMBERED = 200_000


class Exposure(NamedTuple):
    """One row of the exposures that the analysis reads. `propensity`: the variant's weight at that time."""

    experiment: str
    unit: str
    variant: str
    timestamp: datetime
    propensity: float


class ExposureLog:
    """Lets each (experiment, unit, variant) through once.

    Remembers the last 200,000: a unit that was forgotten is logged again, which the analysis, where the first
    exposure counts, does not mind.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._seen: OrderedDict[tuple[str, str, int], None] = OrderedDict()
        self._remembered = remembered

    def first(self, rule: Rule, found: Assignment, now: datetime) -> Exposure | None:
        """The exposure to write, or None: the unit does not count, or was logged before."""
        key = (rule.key, found.unit, found.variant)
        if not found.included:
            return None
        if key in self._seen:
            self._seen.move_to_end(key)
            return None
        self._seen[key] = None
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)
        return Exposure(rule.key, found.unit, found.name, now, propensity(rule, found.variant))


def propensity(rule: Rule, variant: int) -> float:
    """Probability of the variant among the units that take part."""
    widths = [high - low for low, high in rule.ranges]
    return widths[variant] / sum(widths)
