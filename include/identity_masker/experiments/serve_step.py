"""The step `serve`: model servers for the variants of all running experiments."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from identity_masker.experiments import catalog
from identity_masker.experiments.live import REFRESH_SECONDS
from identity_masker.experiments.steering import running
from identity_masker.experiments.variant_servers import Reconciler, VariantServers
from identity_masker.release.target import FleetTarget
from identity_masker.serving.allocations import AllocationLedger, AllocationRevision
from identity_masker.serving.control import Control
from identity_masker.serving.deploy import ModelRegistry
from identity_masker.settings import settings


def serve(timeout: float) -> VariantServers:
    """Bring model servers into line with the experiments that run. Raises as `Reconciler.reconcile`."""
    url = settings().control_url
    with Control(url) as control, AllocationLedger(url) as ledger:
        revisions = ledger.all_revisions()
        experiments = [each for each in catalog.load_all() if running(each, revisions.get(each.name, []))]
        time.sleep(until_stopped(revisions, datetime.now(UTC)))
        return Reconciler(control, FleetTarget(control), ModelRegistry(), timeout=timeout).reconcile(experiments)


def until_stopped(revisions: Mapping[str, Sequence[AllocationRevision]], now: datetime) -> float:
    """Seconds until no gateway gives anybody a variant of an experiment that was stopped."""
    stops = [found[-1].document for found in revisions.values() if found[-1].document.state == "stopped"]
    left = max(((stop.applies_from - now).total_seconds() for stop in stops), default=0.0)
    return left + REFRESH_SECONDS if left > 0.0 else 0.0
