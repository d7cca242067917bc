"""The effect of a treatment: difference of two arms with its standard error, from their moments alone.

An arm is a value with a variance (`Level`); how it comes about (mean, ratio by the delta method, with or without a
covariate) is separate from how two of them are compared (absolute or relative).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics.moments import Moments
from identity_masker.statistics.samples import Floats, one_of, probability

SCALES = ("absolute", "relative")


class Level(NamedTuple):
    """Estimate of one arm: its value, the variance of that estimate, and the units behind it.

    `plain` is the value before adjustment by a covariate, which relative effects are relative to, with its variance
    and its covariance with the value.
    """

    value: float
    variance: float
    units: float
    plain: float
    plain_variance: float
    covariance: float

    @classmethod
    def unadjusted(cls, value: float, variance: float, units: float) -> Level:
        """A level that no covariate has touched."""
        return cls(value, variance, units, value, variance, variance)


class Effect(NamedTuple):
    """Treatment minus control. `degrees`: degrees of freedom of the standard error (Welch-Satterthwaite)."""

    estimate: float
    standard_error: float
    degrees: float
    units: float

    @property
    def z(self) -> float:
        """The estimate in standard errors."""
        return self.estimate / self.standard_error

    def p_value(self, null: float = 0.0, *, method: str = "t") -> float:
        """Two-sided p-value of the fixed-sample test of `null` (Welch's t, or `z`)."""
        statistic = abs(self.estimate - null) / self.standard_error
        if one_of(method, ("t", "z"), "method") == "z":
            return float(2.0 * stats.norm.sf(statistic))
        return float(2.0 * stats.t.sf(statistic, self.degrees))

    def interval(self, alpha: float = 0.05, *, method: str = "t") -> tuple[float, float]:
        """Two-sided fixed-sample confidence interval with confidence 1 - alpha."""
        tail = probability(alpha, "alpha") / 2.0
        normal = one_of(method, ("t", "z"), "method") == "z"
        half = float(stats.norm.isf(tail) if normal else stats.t.isf(tail, self.degrees)) * self.standard_error
        return self.estimate - half, self.estimate + half


def mean_level(arm: Moments, *, bernoulli: bool = False) -> Level:
    """Mean of the first column. `bernoulli` uses p(1 - p) as the variance of a unit, as proportions do."""
    value = float(arm.mean[0])
    unit = value * (1.0 - value) if bernoulli else float(arm.covariance[0, 0])
    return Level.unadjusted(value, unit / arm.count, arm.count)


def ratio_level(arm: Moments) -> Level:
    """Ratio of the means of columns 0 and 1, each row a unit of randomisation, by the delta method."""
    return Level.unadjusted(_ratio(arm, 0), _variance(arm, _ratio_gradient(arm, 0)), arm.count)


def adjusted_means(control: Moments, treatment: Moments) -> tuple[Level, Level]:
    """Means of column 0 adjusted by the covariate in column 1, measured before exposure (CUPED).

    The slope is pooled within the arms; adjusted means are centred on the covariate's mean over both arms. Without
    variance in the covariate nothing is adjusted. Source: Deng, Xu, Kohavi & Walker, WSDM 2013.
    """
    outcome, covariate = np.eye(control.mean.size)[0], np.eye(control.mean.size)[1]
    covariates = (float(control.mean[1]), float(treatment.mean[1]))
    values = (float(control.mean[0]), float(treatment.mean[0]))
    return _adjusted((control, treatment), values, covariates, (outcome, outcome), (covariate, covariate))


def adjusted_ratios(control: Moments, treatment: Moments) -> tuple[Level, Level]:
    """Ratios of columns 0 and 1 adjusted by the ratio of columns 2 and 3, measured before exposure."""
    arms = (control, treatment)
    values = (_ratio(control, 0), _ratio(treatment, 0))
    covariates = (_ratio(control, 2), _ratio(treatment, 2))
    after = (_ratio_gradient(control, 0), _ratio_gradient(treatment, 0))
    before = (_ratio_gradient(control, 2), _ratio_gradient(treatment, 2))
    return _adjusted(arms, values, covariates, after, before)


def difference(control: Level, treatment: Level, scale: str = "absolute") -> Effect:
    """Treatment minus control; `relative`: over the size of the control's unadjusted value, by the delta method.

    Raises `BadInputError` for an arm of fewer than two units, a relative effect on a control of zero, and when
    neither arm varies.
    """
    if control.units < 2 or treatment.units < 2:
        raise BadInputError("an arm has fewer than two units", got=f"{control.units:g} and {treatment.units:g}")
    estimate, gradient = comparison(control, treatment, scale)
    variance = float(gradient @ covariance(control, treatment) @ gradient)
    if not variance > 0.0:
        raise BadInputError("neither arm varies", got="a variance of zero", fix="check the metric: nothing to compare")
    parts = control.variance, treatment.variance
    spread = parts[0] ** 2 / (control.units - 1.0) + parts[1] ** 2 / (treatment.units - 1.0)
    units = control.units + treatment.units
    return Effect(estimate, math.sqrt(variance), (parts[0] + parts[1]) ** 2 / spread if spread > 0 else units, units)


def comparison(control: Level, treatment: Level, scale: str) -> tuple[float, Floats]:
    """The comparison of two levels and its gradient in (control, treatment, unadjusted control)."""
    if one_of(scale, SCALES, "scale") == "absolute":
        return treatment.value - control.value, np.array([-1.0, 1.0, 0.0])
    if control.plain == 0.0:
        raise BadInputError("a relative effect needs a control that is not zero", got="control 0")
    base = abs(control.plain)
    estimate = (treatment.value - control.value) / base
    return estimate, np.array([-1.0, 1.0, -math.copysign(1.0, control.plain) * estimate]) / base


def covariance(control: Level, treatment: Level) -> Floats:
    """Covariance of (control, treatment, unadjusted control)."""
    own, plain, joint = control.variance, control.plain_variance, control.covariance
    return np.array([[own, 0.0, joint], [0.0, treatment.variance, 0.0], [joint, 0.0, plain]])


def interaction(first: Effect, second: Effect) -> Effect:
    """Difference of two independent effects: does the treatment work otherwise in the other part?"""
    variance = first.standard_error**2 + second.standard_error**2
    spread = first.standard_error**4 / first.degrees + second.standard_error**4 / second.degrees
    gap = second.estimate - first.estimate
    return Effect(gap, math.sqrt(variance), variance**2 / spread, first.units + second.units)


def cohens_d(a: Moments, b: Moments) -> float:
    """Difference b - a of the means of the first columns in pooled standard deviations."""
    pooled = (a.scatter[0, 0] + b.scatter[0, 0]) / (a.count + b.count - 2.0)
    if not pooled > 0.0:
        raise BadInputError("neither sample varies", got="a pooled variance of zero")
    return float((b.mean[0] - a.mean[0]) / math.sqrt(pooled))


def hedges_g(a: Moments, b: Moments) -> float:
    """`cohens_d` with the correction for small samples."""
    return cohens_d(a, b) * (1.0 - 3.0 / (4.0 * (a.count + b.count - 2.0) - 1.0))


def slope_of(x: ArrayLike, y: ArrayLike) -> float:
    """cov(x, y) / var(x) of two columns: the CUPED slope of one sample."""
    both = Moments.of(y, x)
    variance = float(both.scatter[1, 1])
    return float(both.scatter[0, 1]) / variance if variance > 0.0 else 0.0


def _adjusted(
    arms: tuple[Moments, Moments],
    values: tuple[float, float],
    covariates: tuple[float, float],
    after: tuple[Floats, Floats],
    before: tuple[Floats, Floats],
) -> tuple[Level, Level]:
    """Values minus slope × (covariate - common centre), the slope from the gradients of outcome and covariate."""
    joint = sum(float(a @ arm.scatter @ b) for arm, a, b in zip(arms, after, before, strict=True))
    own = sum(float(b @ arm.scatter @ b) for arm, b in zip(arms, before, strict=True))
    slope = joint / own if own > 0.0 else 0.0
    total = arms[0].count + arms[1].count
    centre = (arms[0].count * covariates[0] + arms[1].count * covariates[1]) / total
    control, treatment = (
        Level(
            value - slope * (covariate - centre),
            _variance(arm, a - slope * b),
            arm.count,
            value,
            _variance(arm, a),
            float((a - slope * b) @ arm.covariance @ a) / arm.count,
        )
        for arm, value, covariate, a, b in zip(arms, values, covariates, after, before, strict=True)
    )
    return control, treatment


def _variance(arm: Moments, gradient: Floats) -> float:
    return max(float(gradient @ arm.covariance @ gradient), 0.0) / arm.count


def _ratio(arm: Moments, first: int) -> float:
    if arm.mean[first + 1] == 0.0:
        raise BadInputError("the denominator of a ratio is zero", got="a mean of 0")
    return float(arm.mean[first] / arm.mean[first + 1])


def _ratio_gradient(arm: Moments, first: int) -> Floats:
    gradient = np.zeros(arm.mean.size)
    gradient[first : first + 2] = np.array([1.0, -_ratio(arm, first)]) / arm.mean[first + 1]
    return gradient
