"""What comes out: health, results by metric, and the decision. These are the documents that commands print."""

from __future__ import annotations

from typing import Literal

from identity_masker.experiments.evidence import Document, Segment
from identity_masker.experiments.metric import Kind, Role

Bounds = tuple[float | None, float | None]
Verdict = Literal["better", "worse", "undecided", "non_inferior", "inferior", "no_result"]
Outcome = Literal["ship", "stop_harm", "stop_futility", "go_on", "inconclusive", "unhealthy", "incomplete"]


class SampleRatio(Document):
    """Did the arms get their shares?

    `e_value` holds over daily looks and changing weights, and decides; `p_value` is the chi-square test of one look,
    which decides only when there is one row. `p_values` and `deviations` (units over what they should be, less 1, by
    arm) are cumulated, one a row.
    """

    ok: bool
    p_value: float
    e_value: float
    counts: tuple[int, ...]
    expected: tuple[float, ...]
    unexpected_units: int
    p_values: tuple[float, ...]
    deviations: tuple[tuple[float, ...], ...]


class Check(Document):
    """One health check: `ok`, in words, and the number behind it. A warning leaves the experiment healthy."""

    ok: bool
    warning: bool = False
    message: str
    value: float | None = None


class Health(Document):
    """All health checks. `ok`: no fault; `faults` and `warnings` name the checks that are not in order."""

    ok: bool
    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    sample_ratio: SampleRatio
    multiple_exposure: Check
    completeness: Check
    arms: Check
    invalid_data: Check
    duplicates: Check
    before_exposure: Check
    imbalance: Check
    interaction: Check
    outcomes_found: Check


class Look(Document):
    """One scheduled look: fraction of the days, estimate with its repeated interval, z and its boundary."""

    day: int
    time: float
    units: float
    estimate: float
    interval: Bounds
    z: float
    boundary: float | None


class MetricResult(Document):
    """One metric and treatment.

    `estimate` and `interval` are of the effect on `scale`; the interval and `p_value` hold at every scheduled look.
    `p_adjusted` is corrected over all goals and treatments. `interval_any_time` holds at unscheduled looks.
    `status` is `ok` or says why there is no number.
    """

    name: str
    variant: str
    role: Role
    kind: Kind
    better: Literal["higher", "lower"]
    scale: Literal["absolute", "relative"]
    status: str
    estimate: float | None
    interval: Bounds | None
    p_value: float | None
    p_adjusted: float | None
    n: int
    n_control: int
    n_treatment: int
    control: float | None
    treatment: float | None
    standard_error: float | None
    p_fixed: float | None
    interval_any_time: Bounds | None
    margin: float | None
    verdict: Verdict
    final: bool
    chance_to_win: float | None
    expected_loss: float | None
    conditional_power: float | None
    winsorised_at: float | None
    looks: tuple[Look, ...]
    segments: tuple[Segment, ...]


class Decision(Document):
    """What to do, with the winner if there is one, in one sentence, and why."""

    outcome: Outcome
    winner: str | None
    sentence: str
    reasons: tuple[str, ...]
    vetoed: tuple[str, ...]


class Allocation(Document):
    """Weights that a bandit asks for, with each arm's probability of being best and expected regret."""

    weights: dict[str, float]
    changed: bool
    reason: str
    p_best: dict[str, float]
    regret: dict[str, float]


class Report(Document):
    """The whole result of one evaluation."""

    experiment: str
    as_of: str | None
    day: int
    days: int
    method: str
    alpha: float
    health: Health
    metrics: tuple[MetricResult, ...]
    decision: str
    decision_details: Decision
    allocation: Allocation | None = None
