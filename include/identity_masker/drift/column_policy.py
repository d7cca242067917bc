"""What is known of a column before any value of it is seen."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ColumnPolicy(BaseModel):
    """What is known of one column."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["auto", "numeric", "category", "ignore"] = "auto"
    floor: float | None = Field(default=None, ge=0.0, description="In place of the floor of its kind.")
    low: float | None = Field(default=None, description="Smallest value that is possible.")
    high: float | None = Field(default=None, description="Largest value that is possible.")
    allowed: tuple[str, ...] | None = Field(default=None, description="All categories that are possible.")
    optional: bool = Field(default=False, description="May be absent from a table.")
    sampled: bool = Field(default=False, description="Measured on some rows only: a missing value is no fault.")
