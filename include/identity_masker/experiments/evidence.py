"""What was measured, as one document: everything that health, analysis and decision are computed from.

The document can be stored and judged again later with the same result (contract 5 of DESIGN.md).
"""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reading(Document):
    """One metric, one treatment against the control, for the units that entered on the first `day` days.

    `estimate`, `standard_error` and `degrees` are of the effect on the analysis' scale. `problem` says why there is
    no estimate, if there is none.
    """

    day: int
    control_units: float
    treatment_units: float
    control: float | None = None
    treatment: float | None = None
    estimate: float | None = None
    standard_error: float | None = None
    degrees: float | None = None
    problem: str | None = None


class Segment(Document):
    """A reading within one value of an attribute: exploratory."""

    attribute: str
    value: str
    reading: Reading


class Imbalance(Document):
    """The difference of a metric's covariate, measured before exposure, between the arms."""

    estimate: float
    standard_error: float
    units: float


class MetricEvidence(Document):
    """All readings of one metric and treatment: at the scheduled looks so far, and with all data (`latest`)."""

    name: str
    variant: str
    looks: tuple[Reading, ...]
    latest: Reading
    segments: tuple[Segment, ...] = ()
    imbalance: Imbalance | None = None
    limit: float | None = None


class ArmCounts(Document):
    """Units that entered each arm on one day in one period of constant weights, and the weights then."""

    day: int
    period: int
    counts: tuple[int, ...]
    weights: tuple[float, ...]


class GoalArm(Document):
    """An arm's own value of the first goal: what a bandit compares."""

    variant: str
    units: float
    value: float
    standard_error: float


class Interaction(Document):
    """How another experiment's variants met this one's: units by (arm here, arm there), and effects by arm there."""

    experiment: str
    counts: tuple[tuple[int, ...], ...]
    readings: dict[str, tuple[Reading, ...]] = {}


class Counts(Document):
    """Rows that were found, and rows that were left out."""

    exposures: int
    units: int
    invalid_exposures: int
    multiple_exposure: int
    outside_schedule: int
    outcomes: int
    duplicated_outcomes: int
    invalid_outcomes: dict[str, int]
    outcomes_without_unit: int
    outcomes_before_exposure: int
    metrics_without_outcomes: tuple[str, ...]


class Evidence(Document):
    """Everything that an experiment is judged by at one time.

    `days`: whole days of entry so far; `mature`: of them, by metric, those whose window is over. `missing_days`: days
    that have no data, or hardly any; `missing_hours`: hours that the event store does not call complete. `timed`:
    whether the data have times; without, they are taken as complete.
    """

    experiment: str
    timed: bool
    start: AwareDatetime | None
    as_of: AwareDatetime | None
    days: int
    mature: dict[str, int]
    missing_days: tuple[int, ...]
    missing_hours: tuple[AwareDatetime, ...] = ()
    arms: tuple[ArmCounts, ...]
    counts: Counts
    metrics: tuple[MetricEvidence, ...]
    interactions: tuple[Interaction, ...] = ()
    goal_arms: tuple[GoalArm, ...] = ()
