"""The rates of an installation, and the rule that they are kept by."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from identity_masker.documents import load_yaml


class Rate(BaseModel):
    """`per_second` in the long run, `burst` at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_second: float = Field(gt=0, le=1e6, allow_inf_nan=False)
    burst: int = Field(ge=1, le=1_000_000)


class Rates(BaseModel):
    """A whole include/config/quota.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: Rate
    roles: dict[str, Rate] = Field(default_factory=dict)

    def of(self, role: str) -> Rate:
        return self.roles.get(role, self.default)


class Decision(NamedTuple):
    """Whether a request may pass. `remaining` could follow at once; after `reset` seconds the whole burst could.

    `retry_after`: seconds until the next one may pass, when this one may not.
    """

    allowed: bool
    remaining: int
    reset: float
    retry_after: float


def decide(full_at: float, now: float, rate: Rate) -> tuple[float, Decision]:
    """Generic cell rate algorithm (ITU-T I.371): the new `full_at`, and the decision.

    `full_at` is when the client's allowance is whole again; for one that never asked, any time in the past. In seconds.
    """
    interval = 1.0 / rate.per_second
    width = rate.burst * interval
    after = max(full_at, now) + interval
    # Times of the day are large against an interval: what is rounded must not cost a request.
    if after - now > width + 1e-6:
        return full_at, Decision(False, 0, full_at - now, after - now - width)
    return after, Decision(True, max(0, math.floor((width - (after - now)) / interval + 1e-6)), after - now, 0.0)


def load_rates(path: Path) -> Rates:
    """The rates in the file. Raises `NotFoundError` without it and `BadInputError` that names each wrong field."""
    return load_yaml(Rates, path, "file of quotas")
