"""How a version is released and judged: include/config/release/NAME.yaml."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from identity_masker.documents import load_yaml, validated
from identity_masker.release.strategy import BlueGreen, Canary, Rolling, Shadow

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
Probability = Annotated[float, Field(gt=0.0, lt=1.0)]
MetricName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Direction = Literal["lower", "higher"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Noise(_Section):
    """How far two arms that serve the same version drift apart by themselves.

    `sd`: relative deviation of one arm's level (for `difference` metrics as a share of the margin). `correlation`:
    of that drift over `seconds`. Larger values make the judge slower and harder to mislead.
    """

    sd: float = Field(default=0.18, ge=0.0, le=5.0)
    correlation: float = Field(default=0.8, ge=0.0, lt=1.0)
    seconds: float = Field(default=60.0, gt=0.0)


class MetricRule(_Section):
    """One metric of the policy.

    `kind` says how arms are compared: `share` events of all requests, `mean` averages of values from zero on,
    `quantile` of a histogram (all three by ratio), `difference` of averages (in the metric's own units).
    """

    kind: Literal["share", "mean", "quantile", "difference"]
    of: MetricName | None = Field(default=None, description="Name in the evidence; default the metric's own.")
    better: Direction = "lower"
    quantile: Probability = Field(default=0.95, description="Which quantile, for kind quantile.")
    margin: float = Field(gt=0.0, description="From here on the canary is too bad: ratio > 1, or a difference.")
    tolerance: float | None = Field(
        default=None, description="Up to here worse is no reason to roll back; default ratio 1, difference 0."
    )
    negligible: Probability | None = Field(
        default=None, description="For kind share: below this level the canary is good enough whatever the champion is."
    )
    floor: float | None = Field(default=None, description="Level that neither arm may be on the wrong side of.")
    weight: float = Field(default=1.0, gt=0.0, description="Share of the false alarms this metric may cause.")
    required: bool = Field(default=True, description="Without data of this metric nothing is promoted.")
    noise: Noise = Noise()

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        if self.kind == "difference":
            if not 0.0 <= (self.tolerance or 0.0) < self.margin:
                raise ValueError(f"tolerance {self.tolerance} must be from 0 to below the margin {self.margin}")
        elif self.margin <= 1.0:
            raise ValueError(f"margin {self.margin} is a ratio of canary to champion and must be above 1")
        elif not 1.0 <= (1.0 if self.tolerance is None else self.tolerance) < self.margin:
            raise ValueError(f"tolerance {self.tolerance} must be from 1 to below the margin {self.margin}")
        if self.negligible is not None and (self.kind != "share" or self.better == "higher"):
            raise ValueError("negligible is for shares of which fewer are better")
        if self.kind == "quantile" and self.better == "higher":
            raise ValueError("kind quantile judges the upper tail; use kind mean or difference for better: higher")
        return self

    @property
    def relative(self) -> bool:
        return self.kind != "difference"

    @property
    def scaled_margin(self) -> float:
        """The margin on the scale of the test: log ratio, or in units of the margin."""
        return math.log(self.margin) if self.relative else 1.0

    @property
    def scaled_tolerance(self) -> float:
        if self.relative:
            return math.log(self.tolerance) if self.tolerance else 0.0
        return (self.tolerance or 0.0) / self.margin


class Alpha(_Section):
    """How often the judge may be wrong: P(ever roll back a canary that is no worse), P(ever promote one too bad)."""

    roll_back: Probability = 0.05
    promote: Probability = 0.05


class Minimum(_Section):
    """What has to be seen before anything is promoted, however clear it looks."""

    requests: int = Field(default=200, ge=1, description="In each arm.")
    intervals: int = Field(default=3, ge=1, description="Intervals with traffic in both arms.")


class Deadline(_Section):
    """What happens when there is no verdict after `seconds`: ask a person, or roll back."""

    seconds: float = Field(default=14_400.0, gt=0.0)
    then: Literal["ask", "roll_back"] = "ask"


class SampleRatio(_Section):
    """When the achieved split is not the asked one: significant at `alpha` and off by more than `tolerance`."""

    alpha: Probability = 0.001
    tolerance: float = Field(default=0.01, ge=0.0, lt=1.0, description="In shares of traffic: 0.01 is one point.")


class Slices(_Section):
    """Evidence by slice (device, skin tone, pose): `weight` is its part in each metric's evidence against."""

    weight: float = Field(default=0.5, ge=0.0, lt=1.0)


class ReplayMetric(_Section):
    """A metric of the paired replay; values from `low` to `high`."""

    better: Direction = "lower"
    low: float = 0.0
    high: float = 1.0
    margin: float = Field(default=1.5, gt=1.0, description="Ratio of the candidate's to the champion's mean.")
    weight: float = Field(default=1.0, gt=0.0)

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        return self


class Replay(_Section):
    """The paired shadow replay before any user is exposed."""

    pairs: int = Field(default=3000, ge=1, description="Pictures to replay at most.")
    minimum_pairs: int = Field(default=200, ge=1)
    required: bool = Field(default=False, description="Whether a replay without a verdict ends the release.")
    metrics: dict[MetricName, ReplayMetric] = Field(min_length=1)


class Policy(_Section):
    """A whole file of include/config/release."""

    strategy: Literal["canary", "blue_green", "rolling", "shadow"]
    canary: Canary | None = None
    blue_green: BlueGreen | None = None
    rolling: Rolling | None = None
    shadow: Shadow | None = None
    interval_seconds: float = Field(default=60.0, gt=0.0, description="Time between two looks of the judge.")
    ready_seconds: float = Field(default=300.0, gt=0.0, description="Time for the candidate's servers to be ready.")
    lease_seconds: float = Field(default=120.0, gt=0.0, description="Unrenewed, the gateway returns to the champion.")
    approval: Literal["none", "before_traffic", "before_full"] = "none"
    approvers: tuple[Annotated[str, Field(min_length=1, max_length=120)], ...] = Field(
        default=(), description="Who may say yes, by name; empty: anybody with the permission release:approve."
    )
    metrics: dict[MetricName, MetricRule] = Field(min_length=1)
    alpha: Alpha = Alpha()
    minimum: Minimum = Minimum()
    deadline: Deadline = Deadline()
    sample_ratio: SampleRatio = SampleRatio()
    slices: Slices = Slices()
    replay: Replay | None = None

    @model_validator(mode="after")
    def _one_strategy(self) -> Self:
        given = [name for name in ("canary", "blue_green", "rolling", "shadow") if getattr(self, name) is not None]
        if given != [self.strategy]:
            raise ValueError(f"strategy {self.strategy} needs the section {self.strategy} and no other, got {given}")
        if not any(rule.required for rule in self.metrics.values()):
            raise ValueError("at least one metric must be required: nothing can be promoted without evidence")
        return self

    @model_validator(mode="after")
    def _somebody_is_asked(self) -> Self:
        if self.approvers and self.approval == "none" and self.deadline.then != "ask":
            raise ValueError("approvers are named, but nobody is ever asked: set approval, or deadline.then: ask")
        return self

    @model_validator(mode="after")
    def _lease_outlives_an_interval(self) -> Self:
        if self.lease_seconds <= self.interval_seconds:
            raise ValueError(
                f"lease_seconds {self.lease_seconds} must be longer than interval_seconds {self.interval_seconds}: "
                "the lease is renewed once an interval"
            )
        return self


def load_policy(path: Path) -> Policy:
    """The policy in the YAML file `path`.

    Raises `NotFoundError` when there is none, `BadInputError` with every field that does not validate.
    """
    return load_yaml(Policy, path, "release policy", fix="see include/config/release")


def parse_policy(document: Any, origin: str = "policy") -> Policy:
    """`document` as a policy; `origin` names it in errors. Raises as `load_policy` does."""
    return validated(Policy, document, "release policy", origin)
