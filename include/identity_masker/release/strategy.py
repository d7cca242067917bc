"""The sections of a policy that say how traffic moves to a new version."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seconds = Annotated[float, Field(ge=0.0)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Step(_Section):
    """The canary gets `share` of the traffic and stays there for at least `soak_seconds` before it is judged.

    `champion` may be written out too; the two then have to sum to 1.
    """

    share: Share
    champion: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    soak_seconds: Annotated[float, Field(gt=0.0)]

    @model_validator(mode="after")
    def _sum(self) -> Self:
        if self.champion is not None and abs(self.share + self.champion - 1.0) > 1e-9:
            raise ValueError(
                f"share {self.share} and champion {self.champion} sum to {self.share + self.champion}, not 1"
            )
        return self


class Testers(_Section):
    """Requests with this header value reach the canary whatever its share is."""

    header: str = Field(default="x-masker-variant", pattern=r"^[a-z0-9-]{1,64}$")
    value: str = Field(default="canary", pattern=r"^[A-Za-z0-9._-]{1,64}$")


class Canary(_Section):
    """Growing shares of the traffic, judged at each step; the last step is everything."""

    steps: tuple[Step, ...] = Field(min_length=1)
    testers: Testers | None = Testers()

    @model_validator(mode="after")
    def _steps_rise(self) -> Self:
        shares = [step.share for step in self.steps]
        for before, after in itertools.pairwise(shares):
            if after <= before:
                raise ValueError(f"steps must rise, but {before} is followed by {after}")
        if shares[-1] != 1.0:
            raise ValueError(f"the last step must have share 1.0, not {shares[-1]}")
        return self


class BlueGreen(_Section):
    """A full copy beside the old version, tried with preflight traffic, then switched to at once."""

    preflight_share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.05
    preflight_seconds: Seconds = 300.0
    keep_warm_seconds: Seconds = Field(default=3600.0, description="The old version stays up for a rollback.")


class Rolling(_Section):
    """Replica by replica."""

    max_surge: int = Field(default=1, ge=0)
    max_unavailable: int = Field(default=0, ge=0)
    batches: tuple[Share, ...] = Field(default=(0.25, 0.25, 0.5), min_length=1, description="Parts of the replicas.")
    soak_seconds: Seconds = 120.0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(sum(self.batches) - 1.0) > 1e-9:
            raise ValueError(f"batches must sum to 1, not {sum(self.batches)}")
        if self.max_surge + self.max_unavailable == 0:
            raise ValueError("max_surge and max_unavailable are both 0: no replica could ever be replaced")
        return self


class Shadow(_Section):
    """Mirrored requests whose responses are never returned."""

    mirror_share: Share = 0.1
    seconds: Annotated[float, Field(gt=0.0)] = 900.0
    then: Literal["stop", "promote"] = Field(default="stop", description="What a verdict `promote` leads to.")
