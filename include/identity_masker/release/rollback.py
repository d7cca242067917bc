"""Back to a version that served before, at once."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from identity_masker.errors import TemporaryError
from identity_masker.release.driver import Driver
from identity_masker.release.rollout_log import RolloutLog
from identity_masker.serving.control import Control
from identity_masker.serving.deploy import DeployOptions, Registry, deploy

PREVIOUS = "previous"
SECONDS = 60.0


class RolledBack(BaseModel):
    """What serves now. `rollout` is the one that was given up, if one was under way."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    semver: str
    revision: int
    rollout: str | None


def roll_back(
    reference: str, driver: Driver, registry: Registry, control: Control, *, author: str, timeout: float
) -> RolledBack:
    """Give up the rollout under way, if there is one; else, or when a version is named, deploy that version.

    `reference` is `previous` or any reference of the registry. Raises as `deploy` does.
    """
    given_up = _give_up(driver, control, author)
    if given_up is None or reference != PREVIOUS:
        deploy(DeployOptions(reference=reference, timeout=timeout, author=author), registry, control)
    revision = control.revision()
    if revision is None:
        raise TemporaryError("the routing table is gone", fix="restore the control database")
    champion = revision.table.variants[revision.table.champion]
    return RolledBack(version=champion.version, semver=champion.semver, revision=revision.number, rollout=given_up)


def _give_up(driver: Driver, control: Control, author: str) -> str | None:
    """The rollout that was turned round; None when there was none, or it was past its switch."""
    newest = RolloutLog(control).newest()
    if newest is None or newest.rollout.ended:
        return None
    rollout = driver.give_up(f"{author} asked for it")
    promoted = rollout.outcome == "promoted"
    done = driver.drive(0.0 if promoted else SECONDS)
    if not promoted and not done.ended:
        raise TemporaryError("the rollout is on its way back but not at its end", got=done.doing)
    return None if promoted else rollout.id
