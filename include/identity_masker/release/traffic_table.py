"""The routing tables of a rollout."""

from __future__ import annotations

from datetime import datetime, timedelta

from identity_masker.release.rollout import Rollout, Side
from identity_masker.serving.routing import CHAMPION, Override, RoutingTable, Variant

CANARY = "canary"


def shared(rollout: Rollout, now: datetime) -> RoutingTable:
    """The table of the rollout's present stage, with a lease from `now` on.

    The salt is the rollout's own: it is not always the same users who meet a new version first.
    """
    stage = rollout.stage_now
    share, mirror = (0.0, stage.share) if stage.mirrored else (stage.share, 0.0)
    lease = now + timedelta(seconds=rollout.policy.lease_seconds)
    candidate = rollout.candidate
    return RoutingTable(
        variants={
            CHAMPION: _variant(rollout.champion, 1.0 - share),
            CANARY: Variant(
                version=candidate.version, semver=candidate.semver, share=share, mirror=mirror, lease_expires_at=lease
            ),
        },
        salt=rollout.id,
        testers=_testers(rollout),
    )


def renewed(table: RoutingTable, rollout: Rollout, now: datetime) -> RoutingTable:
    """The same shares with a lease from `now` on."""
    lease = now + timedelta(seconds=rollout.policy.lease_seconds)
    canary = table.variants[CANARY].model_copy(update={"lease_expires_at": lease})
    return table.model_copy(update={"variants": {**table.variants, CANARY: canary}})


def alone(side: Side, salt: str) -> RoutingTable:
    """Everything to one version."""
    return RoutingTable(variants={CHAMPION: _variant(side, 1.0)}, salt=salt)


def same_but_lease(one: RoutingTable, other: RoutingTable) -> bool:
    return _without_leases(one) == _without_leases(other)


def canary_of(table: RoutingTable, rollout: Rollout) -> Variant | None:
    """The candidate's variant beside the rollout's champion; None when the table is not this rollout's (any more)."""
    canary = table.variants.get(CANARY)
    mine = set(table.variants) == {table.champion, CANARY} and table.champion_version == rollout.champion.version
    return canary if mine and canary is not None and canary.version == rollout.candidate.version else None


def mentions(table: RoutingTable, version: str) -> bool:
    return any(variant.version == version for variant in table.variants.values())


def _variant(side: Side, share: float) -> Variant:
    return Variant(version=side.version, semver=side.semver, share=share)


def _testers(rollout: Rollout) -> Override | None:
    section = rollout.policy.canary.testers if rollout.policy.canary else None
    return Override(header=section.header, value=section.value, variant=CANARY) if section else None


def _without_leases(table: RoutingTable) -> RoutingTable:
    variants = {n: v.model_copy(update={"lease_expires_at": None}) for n, v in table.variants.items()}
    return table.model_copy(update={"variants": variants})
