"""The routing table: who serves which share of the traffic, and the choice that follows from it.

The table is a small document with a revision (DESIGN.md, contract 4). Choosing is a pure function of the table,
the user and the time, so that every gateway chooses alike and a choice can be replayed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

CHAMPION = "champion"
TESTER: Literal["tester"] = "tester"
SHARE_TOLERANCE = 1e-9
EMPTY: Mapping[str, str] = MappingProxyType({})

VariantName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class Variant(BaseModel):
    """One version that gets a share of the traffic."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(min_length=1, description="The registry's number of the model version.")
    semver: str = Field(min_length=1, description="The version in words.")
    share: float = Field(ge=0, le=1)
    mirror: float = Field(default=0.0, ge=0, le=1, description="Share of the champion's requests copied to it.")
    lease_expires_at: AwareDatetime | None = Field(
        default=None, description="From then on the share goes back to the champion, unless the lease was renewed."
    )

    def leased_out(self, now: datetime) -> bool:
        return self.lease_expires_at is not None and now >= self.lease_expires_at


class Override(BaseModel):
    """Requests whose `header` has this `value` get `variant`, whatever its share is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: str = Field(pattern=r"^[a-z0-9-]{1,64}$")
    value: str = Field(min_length=1, max_length=64)
    variant: VariantName


class RoutingTable(BaseModel):
    """The whole switch: variants by name, their shares, and the one that takes over when another cannot serve."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    champion: VariantName = CHAMPION
    variants: dict[VariantName, Variant] = Field(min_length=1)
    salt: str = Field(default="", max_length=64, description="Changes which users get which variant.")
    testers: Override | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.champion not in self.variants:
            raise ValueError(f"the champion {self.champion!r} is none of the variants {sorted(self.variants)}")
        if self.testers is not None and self.testers.variant not in self.variants:
            raise ValueError(f"testers get {self.testers.variant!r}, none of the variants {sorted(self.variants)}")
        if self.variants[self.champion].mirror:
            raise ValueError("the champion cannot be its own shadow: set `mirror` of another variant")
        if self.variants[self.champion].lease_expires_at is not None:
            raise ValueError("the champion cannot have a lease: nothing stands behind it")
        total = sum(variant.share for variant in self.variants.values())
        if abs(total - 1) > SHARE_TOLERANCE:
            raise ValueError(f"the shares sum to {total}, not to 1")
        return self

    @property
    def champion_version(self) -> str:
        return self.variants[self.champion].version


def only(version: str, semver: str) -> RoutingTable:
    """The table that sends everything to one version."""
    return RoutingTable(variants={CHAMPION: Variant(version=version, semver=semver, share=1.0)})


class Choice(NamedTuple):
    """The variant for one request, and why it is not the one that the user's point fell on, if it is not."""

    variant: str
    fallback: Literal["", "lease", "no_endpoint", "tester"] = ""


def point(salt: str, who: str) -> float:
    """Where `who` falls in [0, 1): the first 53 bits of SHA-256 of salt and name."""
    digest = hashlib.sha256(f"{salt}\0{who}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)


def choose(
    table: RoutingTable, who: str, now: datetime, served: Collection[str], headers: Mapping[str, str] = EMPTY
) -> Choice:
    """The variant that answers `who` at `now`.

    `served` holds the versions with an endpoint that is ready. The same user keeps the same variant while the
    table stays as it is; when a share grows, its users stay and others join them. A variant whose lease has run
    out, or that no endpoint serves, is replaced by the champion. `headers` may say that a tester asks.
    """
    testers = table.testers
    is_tester = testers is not None and headers.get(testers.header) == testers.value
    wanted = testers.variant if testers is not None and is_tester else _at(table, point(table.salt, who))
    variant = table.variants[wanted]
    if wanted == table.champion:
        return Choice(wanted)
    if variant.leased_out(now):
        return Choice(table.champion, "lease")
    if variant.version not in served:
        return Choice(table.champion, "no_endpoint")
    return Choice(wanted, TESTER if is_tester else "")


def shadow(table: RoutingTable, request_id: str, now: datetime, served: Collection[str]) -> str | None:
    """The variant that gets a copy of this request, which the champion answers; None for none.

    Whether it does depends on the request alone, not on the user. At most one variant gets a copy.
    """
    at = point(f"{table.salt}\0shadow", request_id)
    for name in sorted(table.variants):
        variant = table.variants[name]
        if at < variant.mirror:
            return None if variant.leased_out(now) or variant.version not in served else name
        at -= variant.mirror
    return None


def _at(table: RoutingTable, at: float) -> str:
    """The variant whose range holds `at`. The champion has the upper end, the others stack up from 0 by name."""
    upper = 0.0
    for name in sorted(table.variants):
        if name != table.champion:
            upper += table.variants[name].share
            if at < upper:
                return name
    return table.champion
