"""One demand of a gate on the evidence, and whether it is met."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Finding(BaseModel):
    """`text` names the demand with its figure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ok: bool
    text: str
