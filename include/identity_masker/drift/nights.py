"""Many nights: one false-alarm rate for all of them, and drift too small for any single night.

Each night has its share of the rate (`DriftPolicy.alpha`): by the union bound the false alarms of a year add up to
the stated rate whatever the nights have in common. They have much in common: the same reference. That is why the
nights' e-values are not multiplied: against one finite reference they are not a martingale.

What is accumulated instead is the comparison of all rows since the start with the reference. Its score has
independent increments in information time also when only one side grows (Jennison & Turnbull, Group sequential
methods, 2000, section 3.3), so the normal mixture over it is an e-process: without drift it passes 1/a with
probability at most a, ever.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise

from pydantic import BaseModel, ConfigDict

from identity_masker.drift.evidence import Evidence
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.verdict import Outcome, Verdict
from identity_masker.errors import BadInputError
from identity_masker.statistics.confidence_sequences import normal_log_mixture
from identity_masker.statistics.multiple import e_benjamini_hochberg

# Shift of a normal variable by one deviation, as P(before < now) - 1/2: its slope at zero.
RANK_PER_SD = 0.5 / math.sqrt(math.pi)
LARGEST_LOG = 700.0


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rank(_Document):
    """A night's standing of a numeric column among the reference, and what its precision follows from."""

    mean: float
    variance: float
    count: int
    reference_count: int


class Night(_Document):
    """What is remembered of a night."""

    night: date
    reference: str
    verdict: Outcome
    drifted: tuple[str, ...] = ()
    ranks: dict[str, Rank] = {}


class SlowColumn(_Document):
    """A column over all nights since the start: its e-value, and its shift in deviations of a normal variable."""

    name: str
    e_value: float
    shift: float
    rows: int
    drift: bool


class SlowDrift(_Document):
    """The state after the last night. `nights`: how many have been accumulated."""

    nights: int
    columns: tuple[SlowColumn, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.drift)


@dataclass
class _Sum:
    weighted: float = 0.0
    count: int = 0
    last: Rank | None = None

    def add(self, rank: Rank) -> None:
        self.weighted += rank.mean * rank.count
        self.count += rank.count
        self.last = rank


@dataclass
class _State:
    nights: int = 0
    sums: dict[str, _Sum] = field(default_factory=dict)


def remember(night: date, reference: str, evidence: Evidence, verdict: Verdict) -> Night:
    """What `slow_drift` needs of a night. `reference`: the identity of the reference, its hash."""
    ranks = {
        column.name: Rank(
            mean=column.rank_mean,
            variance=column.rank_variance,
            count=column.current.count,
            reference_count=column.reference.count,
        )
        for column in evidence.columns
        if column.rank_mean is not None and column.rank_variance
    }
    drifted = tuple(column.name for column in verdict.columns if column.drift)
    return Night(night=night, reference=reference, verdict=verdict.verdict, drifted=drifted, ranks=ranks)


def with_night(nights: Sequence[Night], new: Night) -> tuple[Night, ...]:
    """`nights` in order of date with `new` among them; a night that is run again replaces itself."""
    kept = [night for night in nights if night.night != new.night]
    return tuple(sorted([*kept, new], key=lambda night: night.night))


def slow_drift(nights: Sequence[Night], policy: DriftPolicy) -> SlowDrift:
    """Slow drift as of the last of `nights`: the last of `slow_history`."""
    history = slow_history(nights, policy)
    return history[-1] if history else SlowDrift(nights=0, columns=())


def slow_history(nights: Sequence[Night], policy: DriftPolicy) -> tuple[SlowDrift, ...]:
    """Slow drift as of each of `nights`, which are in order of date.

    The count starts anew with another reference, after an alarm, and after as many nights as the false-alarm rate is
    stated for: within them the expected number of false alarms is at most the share of `slow`.
    """
    if any(after.night <= before.night for before, after in pairwise(nights)):
        raise BadInputError("the nights are not in order of date", got=[str(night.night) for night in nights][:10])
    share = policy.false_alarms.shares.slow
    # Restarting after each alarm, a chance of a for one makes a/(1-a) of them on average.
    alpha = share / (1.0 + share)
    state, history, reference = _State(), list[SlowDrift](), ""
    for night in nights:
        alarmed = bool(history and history[-1].drifted)
        if night.reference != reference or alarmed or state.nights >= policy.false_alarms.nights:
            state, reference = _State(), night.reference
        state.nights += 1
        for name, rank in night.ranks.items():
            state.sums.setdefault(name, _Sum()).add(rank)
        history.append(_judged(state, policy, alpha))
    return tuple(history)


def _judged(state: _State, policy: DriftPolicy, alpha: float) -> SlowDrift:
    names = sorted(state.sums)
    found = [_accumulated(state.sums[name], policy.floor(name, policy.floors.numeric)) for name in names]
    certain = [bool(sure) for sure in e_benjamini_hochberg([e for e, _ in found], alpha)] if found else []
    columns = tuple(
        SlowColumn(
            name=name,
            e_value=e,
            shift=shift,
            rows=state.sums[name].count,
            drift=sure and abs(shift) >= policy.floor(name, policy.floors.numeric),
        )
        for name, (e, shift), sure in zip(names, found, certain, strict=True)
    )
    return SlowDrift(nights=state.nights, columns=columns)


def _accumulated(total: _Sum, floor: float) -> tuple[float, float]:
    """The e-value of "no shift" and the shift in deviations."""
    if total.last is None or not total.count:
        return 1.0, 0.0
    shift = total.weighted / total.count - 0.5
    information = 1.0 / (total.last.variance * (1.0 / total.last.reference_count + 1.0 / total.count))
    # Tuned to be strongest where a shift by the floor is four standard errors.
    tuned = (4.0 / (max(floor, 0.01) * RANK_PER_SD)) ** 2
    log_e = normal_log_mixture(shift * information, information, tuned)
    return math.exp(min(log_e, LARGEST_LOG)), shift / RANK_PER_SD
