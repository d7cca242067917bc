"""From the model references of a design to the versions that a gateway can serve."""

from __future__ import annotations

import re
import time

from identity_masker.errors import MaskerError
from identity_masker.serving.control import Control
from identity_masker.telemetry import logs

PATIENCE_SECONDS = 60.0
NUMBER = re.compile(r"\d+")
log = logs.logger(__name__)


class LiveVersions:
    """Resolves references by the control database, and aliases by the registry.

    `champion` is whatever the routing table calls so. An alias of the registry is looked up once: what a variant is
    must not change while the experiment runs.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._pinned: dict[str, str] = {}
        self._ask_again: dict[str, float] = {}
        self._champion: str | None = None
        self._deployed: dict[str, str] = {}

    def refresh(self) -> None:
        """Read what is deployed. Raises `TemporaryError` when the control database does not answer."""
        revision = self._control.revision()
        self._champion = revision.table.champion_version if revision else None
        self._deployed = {each.semver: each.version for each in self._control.deployments()}

    def of(self, reference: str, pinned: str | None = None) -> str | None:
        """The registry's number of a version that model servers are deployed for; None when there is none.

        `pinned`: the version that the control database holds for the variant, for all gateways alike.
        """
        version = self._champion if reference == "champion" else pinned or self._fixed(reference)
        return version if version in {self._champion, *self._deployed.values()} else None

    def _fixed(self, reference: str) -> str | None:
        if NUMBER.fullmatch(reference):
            return reference
        if reference in self._deployed:
            return self._deployed[reference]
        if reference not in self._pinned and time.monotonic() >= self._ask_again.get(reference, 0.0):
            self._ask(reference)
        return self._pinned.get(reference)

    def _ask(self, reference: str) -> None:
        # MLflow takes seconds to import: only a gateway with such an experiment pays for it.
        from identity_masker.registry import models

        try:
            self._pinned[reference] = models.resolve(reference).version
        except MaskerError as error:
            self._ask_again[reference] = time.monotonic() + PATIENCE_SECONDS
            log.warning("reference_not_resolved", reference=reference, why=str(error))
