"""Every look of a rollout in the store: what was seen, and what the judge said. A rollout is replayed from here."""

from __future__ import annotations

import json

from pydantic import AwareDatetime, BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import NotFoundError
from identity_masker.release.evidence import Evidence, Interval
from identity_masker.release.gateway_metrics import Snapshot
from identity_masker.release.judge import judge
from identity_masker.release.policy import Policy, parse_policy
from identity_masker.release.verdict import Verdict


class StoredLook(BaseModel):
    """One look. `snapshot` is what the gateway had counted at its end: the next interval begins there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    at: AwareDatetime
    stage: int
    interval: Interval
    snapshot: Snapshot
    verdict: Verdict


class Looks:
    """The looks of one rollout under `STORE/releases/ROLLOUT`."""

    def __init__(self, store: str, rollout: str) -> None:
        self.uri = artifacts.join(store, "releases", rollout)

    def keep_policy(self, policy: Policy) -> None:
        artifacts.create_bytes(artifacts.join(self.uri, "policy.json"), policy.model_dump_json(indent=2).encode())

    def policy(self) -> Policy:
        """Raises `NotFoundError` when the rollout had no look yet."""
        return parse_policy(json.loads(artifacts.read_bytes(artifacts.join(self.uri, "policy.json"))), self.uri)

    def find(self, number: int) -> StoredLook | None:
        try:
            return StoredLook.model_validate_json(artifacts.read_bytes(self._path(number)))
        except NotFoundError:
            return None

    def all(self) -> list[StoredLook]:
        """Oldest first."""
        names = artifacts.names(artifacts.join(self.uri, "looks"))
        found = (self.find(int(name.removesuffix(".json"))) for name in names)
        return [look for look in found if look is not None]

    def judge(self, policy: Policy, interval: Interval) -> Verdict:
        """The verdict on all looks so far and one interval more."""
        return judge(policy, Evidence(intervals=(*(look.interval for look in self.all()), interval)))

    def keep(self, look: StoredLook) -> StoredLook:
        """Store a look and return the one that counts: of several drivers the first decides."""
        artifacts.create_bytes(self._path(look.number), look.model_dump_json(indent=2).encode())
        return self.find(look.number) or look

    def _path(self, number: int) -> str:
        return artifacts.join(self.uri, "looks", f"{number:05d}.json")
