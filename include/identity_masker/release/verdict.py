"""What the judge says, as it is stored, printed and shown."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

VerdictWord = Literal["promote", "hold", "roll_back"]
MetricWord = Literal["worse", "not_worse", "unclear", "missing"]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SliceFinding(_Document):
    """Evidence of "worse" in one slice."""

    name: str
    e_value: float


class MetricFinding(_Document):
    """One metric: e-values, the effect with its interval, and the level of each arm.

    `e_value` is evidence that the canary is worse than tolerated, `e_value_not_worse` that it is better than the
    margin. `estimate` and `interval` (a confidence sequence at 1 - alpha) are canary over champion, or canary minus
    champion for kind difference; `compares` says of what.
    """

    name: str
    kind: str
    compares: str
    state: MetricWord
    e_value: float
    e_value_not_worse: float
    estimate: float | None
    interval: tuple[float, float] | None
    margin: float
    canary: float | None
    champion: float | None
    weight: float
    slices: tuple[SliceFinding, ...] = ()


class Check(_Document):
    """A condition of a promotion."""

    name: str
    ok: bool
    detail: str


class Look(_Document):
    """One look of a trace."""

    look: int
    seconds: float
    verdict: VerdictWord
    e_value: float
    e_values: dict[str, float]
    e_values_not_worse: dict[str, float]


class Verdict(_Document):
    """The verdict over some evidence.

    `e_value` is the largest so far of the evidence of all metrics together; at `threshold` the canary is rolled back.
    `ask`: the deadline has passed and a person is to decide. `policy` and `evidence` are SHA-256 of what was judged.
    """

    verdict: VerdictWord
    reasons: tuple[str, ...]
    metrics: tuple[MetricFinding, ...]
    looks: int
    seconds: float
    e_value: float
    threshold: float
    checks: tuple[Check, ...]
    outlook: tuple[str, ...]
    ask: bool
    policy: str
    evidence: str
