"""The rules a dataset must satisfy, as people write them in its YAML.

A rule looks at one column of one table: `images` (a row an image: manifest, descriptors and likeness), `people`
(a row a person), `ingestion` (one row of counts), or `drift` (a row a descriptor, against the last valid version).
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Severity = Literal["warn", "stop"]
Table = Literal["images", "people", "ingestion", "drift"]


class Rule(BaseModel):
    """Exactly one of `between`, `mean_between`, `unique` and `one_of` says what `column` must satisfy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Table = "images"
    column: str
    severity: Severity
    between: tuple[float | None, float | None] | None = Field(default=None, description="Each value, ends included.")
    mean_between: tuple[float | None, float | None] | None = Field(default=None, description="The column's mean.")
    unique: bool = Field(default=False, description="No value twice.")
    one_of: tuple[str, ...] | None = Field(default=None, description="Each value is one of these.")
    mostly: float = Field(default=1.0, gt=0, le=1, description="Share of the rows that must satisfy it.")
    why: str = Field(min_length=1, description="What goes wrong downstream when this is broken.")
    fix: str = Field(min_length=1, description="What to do about it.")

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        asked = [self.between is not None, self.mean_between is not None, self.unique, self.one_of is not None]
        if sum(asked) != 1:
            raise ValueError("a rule needs exactly one of between, mean_between, unique and one_of")
        for limits in (self.between, self.mean_between):
            if limits is None:
                continue
            low, high = limits
            if low is None and high is None:
                raise ValueError("a range needs a lower or an upper end")
            if low is not None and high is not None and low > high:
                raise ValueError(f"the range is empty: {low:g} to {high:g}")
        return self

    def asks(self) -> str:
        """The requirement in words."""
        share = "" if self.mostly == 1 else f" in {self.mostly:.1%} of the rows"
        if self.between is not None:
            return f"{self.column} {_range(*self.between)}{share}"
        if self.mean_between is not None:
            return f"mean of {self.column} {_range(*self.mean_between)}"
        if self.unique:
            return f"no {self.column} twice"
        return f"{self.column} one of {', '.join(self.one_of or ())}{share}"


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
