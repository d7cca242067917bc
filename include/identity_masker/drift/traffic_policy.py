"""The part of the drift policy that the nightly check of traffic adds: what is compared, and what follows from it."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from identity_masker.drift.column_policy import ColumnPolicy

Group = Literal["inputs", "outputs", "embeddings", "service"]
GROUPS: tuple[Group, ...] = get_args(Group)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Retraining(_Section):
    """When drift starts a training."""

    groups: tuple[Group, ...] = Field(
        default=("inputs", "outputs", "embeddings"), description="Groups whose drift a training can mend."
    )
    nights: int = Field(default=3, ge=1, le=90, description="Nights in a row with such drift.")
    every_days: int = Field(default=7, ge=1, le=365, description="At most one training in so many days.")
    missing_hours: int = Field(default=2, ge=0, le=24, description="A night that lacks more hours does not count.")


class Estimate(_Section):
    """An outcome that few requests have a label for, and the column that predicts it.

    A label is an outcome event called `label` whose `event_id` is the request's id, or that id, a slash and more.
    """

    predicted: str
    label: str


class TrafficPolicy(_Section):
    """Columns of the request events by group. What neither the events nor the reference have is left out."""

    groups: dict[Group, tuple[str, ...]] = Field(
        default={
            "inputs": ("brightness", "contrast", "sharpness"),
            "outputs": ("changed",),
            "embeddings": ("masked_code",),
            "service": ("latency_ms", "status", "error", "leak", "face_found", "outside"),
        }
    )
    columns: dict[str, ColumnPolicy] = Field(default_factory=dict, description="As `columns`, of request events alone.")
    service_days: int = Field(
        default=7, ge=1, le=60, description="Days before the window that the group service is compared with."
    )
    estimates: dict[str, Estimate] = Field(default_factory=dict)
    examples: int = Field(default=8, ge=0, le=24, description="Masked pictures that a report shows beside others.")
    masked: int = Field(default=4_000, ge=50, le=100_000, description="Test pictures masked for a reference, at most.")
    run_length: float = Field(
        default=10_000, gt=1, lt=1e7, description="Requests without drift to one false alarm of the stream detector."
    )
    retraining: Retraining = Retraining()

    @model_validator(mode="after")
    def _in_one_group(self) -> Self:
        names = [name for columns in self.groups.values() for name in columns]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"columns in two groups: {', '.join(twice)}")
        return self

    @property
    def measured(self) -> tuple[str, ...]:
        """The columns that describe pictures and what masking made of them."""
        return (*self.groups.get("inputs", ()), *self.groups.get("outputs", ()))

    @property
    def pictured(self) -> tuple[str, ...]:
        """The columns that are read of masked requests: what is measured, and what predicts outcomes."""
        predicting = (rule.predicted for rule in self.estimates.values())
        return tuple(dict.fromkeys([*self.measured, *predicting]))

    def group_of(self, column: str) -> Group | None:
        return next((group for group, columns in self.groups.items() if column in columns), None)
