"""Release policies that are over in seconds once their servers are up, for an Airflow whose steps are pods."""

from __future__ import annotations

from typing import Any

from tests.integration.strategy_drills import quick

from identity_masker.release.policy import Policy

# From one task to the next, Airflow on a busy machine takes a while: the lease has to outlive that.
LEASE_SECONDS = 90.0
SHORT_LEASE_SECONDS = 30.0


def document(policy: Policy, lease_seconds: float) -> dict[str, Any]:
    return {**policy.model_dump(mode="json", exclude_none=True), "lease_seconds": lease_seconds}


STEPS = [{"share": share, "soak_seconds": 4} for share in (0.2, 0.5, 1.0)]
LONG = [{"share": 0.5, "soak_seconds": 3600}, {"share": 1.0, "soak_seconds": 4}]
RELEASES = {
    "drill.yaml": document(quick(canary={"steps": STEPS}), LEASE_SECONDS),
    "long.yaml": document(quick(canary={"steps": LONG}), SHORT_LEASE_SECONDS),
}
