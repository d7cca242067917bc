"""What the judge knows about one metric after some looks: of all requests, and of each slice."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from identity_masker.release.capital import Capital
from identity_masker.release.evidence import Arm, Events, Measure, Slice
from identity_masker.release.policy import MetricRule
from identity_masker.release.signals import Level, signal_for
from identity_masker.statistics.arm_noise import NoiseGrid, noise_grid
from identity_masker.statistics.comparison import Comparison
from identity_masker.statistics.effect_interval import (
    CountLook,
    EffectInterval,
    ShiftLook,
    effect_interval,
    feed,
)
from identity_masker.statistics.rare_events import RareEvents

# An absolute level is judged over so many looks, and counts as beyond the floor when so many standard errors beyond.
FLOOR_LOOKS, FLOOR_DEVIATIONS = 3, 1.645
ALL = ""


class Stream:
    """One comparison of the two arms, over all requests or over one slice."""

    def __init__(self, name: str, rule: MetricRule, noise: NoiseGrid) -> None:
        self._signal, self._rule, self._noise = signal_for(name, rule), rule, noise
        self._comparison = Comparison(1, rule.scaled_margin, noise, rule.scaled_tolerance)
        self.looks: list[CountLook | ShiftLook] = []
        self.log_worse, self.log_not_worse = 0.0, 0.0
        self._recent: deque[tuple[Measure, Measure]] = deque(maxlen=FLOOR_LOOKS)
        self._all: list[tuple[Measure, Measure]] = []

    def update(self, canary: Measure, champion: Measure, elapsed: float) -> None:
        self._recent.append((canary, champion))
        self._all.append((canary, champion))
        look = self._signal.look(canary, champion, elapsed)
        if look is None:
            return
        self.looks.append(look)
        feed(self._comparison, look)
        self.log_worse = float(self._comparison.log_worse[0])
        self.log_not_worse = float(self._comparison.log_not_worse[0])

    def interval(self, alpha: float) -> EffectInterval | None:
        """Effect (log ratio, or in margins) with the confidence sequence."""
        factor = float(self._comparison.burst_factor[0])
        return effect_interval(self.looks, self._rule.scaled_margin, self._noise, alpha, factor)

    def levels(self, *, recent: bool) -> tuple[Level | None, Level | None]:
        """Level of canary and champion, over the last few looks or all."""
        pairs = list(self._recent) if recent else self._all
        canary, champion = (self._signal.level([pair[arm] for pair in pairs]) for arm in (0, 1))
        return canary, champion


class MetricState:
    """The streams of one metric and what they say together."""

    def __init__(self, name: str, rule: MetricRule, slice_weight: float) -> None:
        self.name, self.rule, self.key = name, rule, rule.of or name
        self._noise = noise_grid(rule.noise.sd, rule.noise.correlation)
        self._slice_weight = slice_weight
        self.streams: dict[str, Stream] = {}
        self.capital = Capital()
        self._rare = RareEvents(rule.negligible) if rule.negligible is not None else None
        self.present = False
        self.history: list[float] = []

    def update(self, canary: Arm | None, champion: Arm | None, seconds: float) -> None:
        """Take in one interval; `present` says whether both arms had data of the metric in it."""
        elapsed = seconds / self.rule.noise.seconds
        slices = set(canary.slices) & set(champion.slices) if canary and champion else set()
        parts: dict[str, tuple[Slice | None, Slice | None]] = {ALL: (canary, champion)}
        if canary and champion and self._slice_weight > 0.0:
            parts |= {name: (canary.slices[name], champion.slices[name]) for name in sorted(slices)}
        self.present = False
        for name, (second, first) in parts.items():
            pair = self._measures(second, first)
            if pair is None:
                continue
            self.present = self.present or name == ALL
            if name not in self.streams:
                self.streams[name] = Stream(self.name, self.rule, self._noise)
            self.streams[name].update(*pair, elapsed)
        self._admit()
        self._count_alone(canary)
        self.history.append(self.log_not_worse)

    @property
    def log_worse(self) -> float:
        """Log e-value of "worse" over all requests and slices together."""
        if not self.capital.weights:
            return 0.0
        return self.capital.log_average({name: stream.log_worse for name, stream in self.streams.items()})

    @property
    def log_not_worse(self) -> float:
        """Log e-value of "not worse than the margin", or "negligible": half the capital on each, where both count."""
        compared = self.streams[ALL].log_not_worse if ALL in self.streams else 0.0
        if self._rare is None or ALL not in self.streams:
            return compared
        return float(np.logaddexp(compared, self._rare.log_rare)) - math.log(2.0)

    def worst_slice(self) -> tuple[str, float] | None:
        """The slice with the most evidence of "worse", and its log e-value."""
        slices = {name: stream.log_worse for name, stream in self.streams.items() if name != ALL}
        return max(slices.items(), key=lambda item: (item[1], item[0])) if slices else None

    def beyond_floor(self) -> tuple[bool, bool, Level | None, Level | None]:
        """Whether canary and champion were on the wrong side of the floor in the last looks, and their levels."""
        if self.rule.floor is None or ALL not in self.streams:
            return False, False, None, None
        canary, champion = self.streams[ALL].levels(recent=True)
        return self._beyond(canary), self._beyond(champion), canary, champion

    def _beyond(self, level: Level | None) -> bool:
        if level is None or self.rule.floor is None:
            return False
        sign = 1.0 if self.rule.better == "lower" else -1.0
        return sign * (level.value - self.rule.floor) > FLOOR_DEVIATIONS * level.spread

    def _measures(self, canary: Slice | None, champion: Slice | None) -> tuple[Measure, Measure] | None:
        second = canary.measure(self.key) if canary else None
        first = champion.measure(self.key) if champion else None
        if second is None or first is None or _size(second) == 0 or _size(first) == 0:
            return None
        return second, first

    def _count_alone(self, canary: Arm | None) -> None:
        measure = canary.measure(self.key) if canary else None
        if self._rare is not None and isinstance(measure, Events):
            self._rare.update(measure.events, measure.n)

    def _admit(self) -> None:
        if ALL not in self.streams:
            return
        slices = [name for name in self.streams if name != ALL]
        wishes = {name: self._slice_weight / len(slices) for name in slices}
        self.capital.admit({ALL: 1.0 - self._slice_weight if slices else 1.0, **wishes}, complete=False)


def growth(history: list[float], looks: int = 5) -> float:
    """Mean growth of a log e-value over the last `looks` looks."""
    window = history[-(looks + 1) :]
    return (window[-1] - window[0]) / (len(window) - 1) if len(window) > 1 else 0.0


def looks_to(threshold: float, now: float, rate: float) -> int | None:
    """Looks until a log e-value passes the threshold at this rate; None when it does not get there."""
    return math.ceil((threshold - now) / rate) if rate > 1e-9 else None


def _size(measure: Measure) -> int:
    return sum(measure.counts) if hasattr(measure, "counts") else measure.n
