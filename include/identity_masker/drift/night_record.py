"""What is remembered of each night, and whether the nights together call for a training."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from pydantic import BaseModel, ConfigDict, ValidationError

from identity_masker import artifacts
from identity_masker.drift import archive
from identity_masker.drift.nights import Night
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.traffic_policy import Group
from identity_masker.drift.verdict import Outcome
from identity_masker.errors import BadInputError


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NightRecord(_Document):
    """A night of one version. `effects`: of each column in floors; `outcome`: with slow drift taken in."""

    night: Night
    outcome: Outcome
    drifted: dict[Group, tuple[str, ...]] = {}
    faults: tuple[str, ...] = ()
    missing_hours: int = 0
    effects: dict[str, float] = {}

    @property
    def day(self) -> date:
        return self.night.night


class Training(_Document):
    """Whether drift starts a training, and why (not)."""

    start: bool
    reason: str


def remembered(version: str, until: date) -> list[NightRecord]:
    """The nights of `version` up to and with `until`, in order. Raises `BadInputError` for a damaged record."""
    uri = archive.nights_uri(version)
    return [_read(artifacts.join(uri, f"{day}.json")) for day in archive.days(uri) if day <= until]


def remember_night(version: str, record: NightRecord) -> None:
    """Store the record of a night; a night that is judged again replaces its own."""
    uri = artifacts.join(archive.nights_uri(version), f"{record.day}.json")
    artifacts.write_bytes(uri, record.model_dump_json(indent=1).encode())


def note_training(version: str, day: date) -> None:
    """Remember that the night `day` started a training."""
    artifacts.write_json(artifacts.join(archive.trainings_uri(), f"{day}.json"), {"version": version})


def training(records: Sequence[NightRecord], trainings: Sequence[date], policy: DriftPolicy) -> Training:
    """Decide after the last of `records` (in order): a pure function of the nights and of the `trainings` before.

    A training follows when each of the last nights in a row had drift that a training can mend, lacked few hours and
    had no fault of the data, and when no other night within the stated days started one.
    """
    rule = policy.traffic.retraining
    if not records:
        return Training(start=False, reason="no night is remembered")
    today = records[-1].day
    counted = 0
    for offset, record in enumerate(reversed(records)):
        why = _against(record, policy) if record.day == today - timedelta(days=offset) else "the night is not there"
        if why:
            break
        counted += 1
        if counted == rule.nights:
            return _unless_recent(today, trainings, policy)
    return Training(start=False, reason=f"{counted} of {rule.nights} nights in a row; before: {why or 'no night'}")


def _against(record: NightRecord, policy: DriftPolicy) -> str:
    """Why a night does not count; empty when it does."""
    rule = policy.traffic.retraining
    if record.faults:
        return f"a fault of the data in {', '.join(record.faults)}"
    if record.outcome != "drift":
        return record.outcome.replace("_", " ")
    if record.missing_hours > rule.missing_hours:
        return f"{record.missing_hours} hours are missing"
    if not any(record.drifted.get(group) for group in rule.groups):
        return "drift of a kind that no training mends"
    return ""


def _unless_recent(today: date, trainings: Sequence[date], policy: DriftPolicy) -> Training:
    rule = policy.traffic.retraining
    recent = [day for day in trainings if day < today and today - day < timedelta(days=rule.every_days)]
    if recent:
        return Training(start=False, reason=f"the night {recent[-1]} started a training: one in {rule.every_days} days")
    return Training(start=True, reason=f"drift in {rule.nights} nights in a row")


def _read(uri: str) -> NightRecord:
    try:
        return NightRecord.model_validate_json(artifacts.read_bytes(uri))
    except ValidationError as error:
        raise BadInputError("this is no night", got=f"{uri}: {error.errors()[0]['msg']}", fix="remove it") from error
