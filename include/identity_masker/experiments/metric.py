"""What is measured: the metrics of an experiment, as its file states them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from identity_masker.experiments.durations import Duration

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Kind = Literal["proportion", "mean", "count", "ratio", "quantile"]
Role = Literal["goal", "secondary", "guardrail"]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Winsorise(Section):
    """Values above the limit are set to the limit. Either a fixed one, or a quantile of the units of all arms."""

    value: float | None = Field(default=None, description="The limit itself.")
    quantile: float | None = Field(default=None, gt=0.5, lt=1.0, description="The limit as a quantile, like 0.999.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.value is None) == (self.quantile is None):
            raise ValueError("winsorise needs either `value` or `quantile`")
        return self


class Baseline(Section):
    """What the metric is today: for planning."""

    mean: float = Field(description="Mean over units; for a ratio or a quantile its value; for a proportion the share.")
    sd: float | None = Field(
        default=None,
        gt=0.0,
        description="Deviation between units, which a proportion does not need; for a ratio or a quantile √n times the "
        "standard error of its estimate from n units.",
    )
    correlation: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Correlation with the covariate: CUPED leaves 1 - correlation² of sd²."
    )


class Metric(Section):
    """One metric, computed for each unit from its outcomes within the window after its first exposure.

    proportion: has an outcome (with a value that is not 0). mean: sum of the values, 0 without an outcome.
    count: number of outcomes. ratio: sum of the values over the sum of `denominator`'s, units as clusters.
    quantile: of the values of all outcomes, units as clusters.
    """

    name: Name
    kind: Kind
    role: Role = "secondary"
    outcome: str = Field(default="", description="Name of the outcome, or column of it; default the metric's name.")
    denominator: str | None = Field(
        default=None, description="Outcome below a ratio; `count` is the number of the outcomes above."
    )
    quantile: float | None = Field(default=None, gt=0.0, lt=1.0)
    better: Literal["higher", "lower"] = "higher"
    window: Duration | None = Field(default=None, description="Time after exposure that counts; default the design's.")
    delay: Duration = Field(default=timedelta(0), description="Time after exposure at which the window begins.")
    winsorise: Winsorise | None = None
    covariate: Duration | None = Field(
        default=None, description="CUPED: the same metric in this time before exposure adjusts it."
    )
    minimum_effect: float | None = Field(
        default=None, gt=0.0, description="The smallest effect that matters, on the scale of the analysis."
    )
    margin: float | None = Field(
        default=None, gt=0.0, description="Guardrails: the harm that is still acceptable, on the scale of the analysis."
    )
    baseline: Baseline | None = None

    @property
    def source(self) -> str:
        return self.outcome or self.name

    @property
    def lower_is_better(self) -> bool:
        return self.better == "lower"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for field, kind in (("denominator", "ratio"), ("quantile", "quantile")):
            if (getattr(self, field) is not None) != (self.kind == kind):
                needs = "needs" if self.kind == kind else "has no use for"
                raise ValueError(f"metric {self.name}: a {self.kind} {needs} `{field}`")
        if (self.role == "guardrail") != (self.margin is not None):
            raise ValueError(f"metric {self.name}: a guardrail needs a `margin`, other metrics have none")
        if self.kind == "quantile" and (self.covariate or self.winsorise):
            raise ValueError(f"metric {self.name}: a quantile is neither winsorised nor adjusted")
        if self.kind == "proportion" and self.winsorise:
            raise ValueError(f"metric {self.name}: a proportion is not winsorised")
        if self.kind == "proportion" and self.baseline and not 0.0 < self.baseline.mean < 1.0:
            raise ValueError(f"metric {self.name}: the baseline of a proportion lies between 0 and 1")
        if self.window is not None and self.window <= self.delay:
            raise ValueError(f"metric {self.name}: the window ends before it begins")
        return self
