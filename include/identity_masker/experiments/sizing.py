"""How precisely an experiment can measure a metric, from what the metric is today."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import optimize

from identity_masker.errors import BadInputError
from identity_masker.experiments.metric import Baseline, Metric

LARGEST_EFFECT = 1e6


@dataclass(frozen=True)
class Sizing:
    """One metric with `control` and `treatment` units; effects are on `scale` (absolute or relative)."""

    metric: Metric
    baseline: Baseline
    scale: str
    control: float
    treatment: float

    @classmethod
    def of(cls, metric: Metric, scale: str, control: float, treatment: float) -> Sizing:
        """Raises `BadInputError` when the metric's baseline does not say enough."""
        baseline = metric.baseline
        if baseline is None or (metric.kind != "proportion" and baseline.sd is None):
            raise BadInputError(
                f"{metric.name} cannot be planned", got="no baseline with mean and sd", fix="state `baseline`"
            )
        if scale == "relative" and baseline.mean == 0.0:
            raise BadInputError(f"{metric.name} cannot be planned", got="a relative effect on a baseline of 0")
        return cls(metric, baseline, scale, control, treatment)

    def after(self, effect: float) -> float:
        """The metric's mean under the treatment when the effect is `effect`."""
        return self.baseline.mean * (1.0 + effect) if self.scale == "relative" else self.baseline.mean + effect

    def possible(self, effect: float) -> bool:
        """Whether a metric of its kind can have this effect."""
        return self.metric.kind != "proportion" or 0.0 < self.after(effect) < 1.0

    def standard_error(self, effect: float) -> float:
        """Standard error of the estimated effect when the true one is `effect`."""
        before, after = self._unit_variance(self.baseline.mean), self._unit_variance(self.after(effect))
        if self.scale == "absolute":
            return math.sqrt(before / self.control + after / self.treatment)
        ratio = self.after(effect) / self.baseline.mean
        return math.sqrt(after / self.treatment + before / self.control * ratio**2) / abs(self.baseline.mean)

    def detectable(self, drift: float, sign: float) -> float:
        """Size of the effect (in direction `sign`) that is `drift` standard errors away from 0; may be infinite.

        With sign 0 the standard error is the one without effect: for margins of guardrails.
        """

        def gap(effect: float) -> float:
            return effect / self.standard_error(sign * effect) - drift

        largest = self._largest(sign)
        return math.inf if gap(largest) < 0.0 else float(optimize.brentq(gap, 1e-15, largest, xtol=1e-14, rtol=1e-12))

    def _largest(self, sign: float) -> float:
        if self.metric.kind != "proportion" or sign == 0.0:
            return LARGEST_EFFECT
        room = 1.0 - self.baseline.mean if sign > 0.0 else self.baseline.mean
        return room / (self.baseline.mean if self.scale == "relative" else 1.0) * (1.0 - 1e-9)

    def _unit_variance(self, mean: float) -> float:
        own = mean * (1.0 - mean) if self.metric.kind == "proportion" else (self.baseline.sd or math.nan) ** 2
        return own * (1.0 - self.baseline.correlation**2)
