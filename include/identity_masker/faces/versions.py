"""Dataset versions: the small records in the store that say which snapshots there are and where they stand.

`<store>/datasets/NAME/versions/SEMVER.json` is written once, by whoever creates it first, and never changed.
`<store>/datasets/NAME/validations/SEMVER.json` is the outcome of the last validation of that version.
A version is written `NAME-SEMVER`, as in `rendered-1.2.0`.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.dataset_config import NAME

DEFAULT_DATASET = "rendered"
LATEST = "latest"
_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")

Change = Literal["first", "major", "minor", "patch"]
State = Literal["pending", "validated", "failed", "purged"]


class Tracked(BaseModel):
    """A folder as DVC knows it: the hash of its listing, its bytes and files."""

    model_config = ConfigDict(frozen=True)

    md5: str
    size: int
    nfiles: int


class StoredFile(BaseModel):
    model_config = ConfigDict(frozen=True)

    sha256: str
    bytes: int


class Counts(BaseModel):
    """The account of the ingestion that made a version."""

    model_config = ConfigDict(frozen=True)

    inputs: int
    accepted: int
    quarantined: int
    duplicates: int
    duplicates_across_people: int
    reasons: dict[str, int]
    people: int
    split_images: dict[str, int]
    split_people: dict[str, int]


class Changelog(BaseModel):
    """What came and what went since `parent`, counted by picture (person and pixels) and by person."""

    model_config = ConfigDict(frozen=True)

    parent: str | None
    change: Change
    images_added: int
    images_removed: int
    people_added: int
    people_removed: int


class SnapshotFacts(BaseModel):
    """What a snapshot is and how it came to be, before it has a number.

    `pictures_version` is `normalise.PICTURES_VERSION` when it was made; records from before there was one have none.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    snapshot: str
    schema_version: int
    pictures_version: int = 1
    size: int
    origin: str
    fingerprint: str | None
    config: dict[str, Any]
    counts: Counts
    placed: dict[str, str]
    dvc: Tracked
    files: dict[str, StoredFile]
    account_uri: str


class VersionRecord(SnapshotFacts):
    """All that a machine with only the store's URI needs in order to fetch and check a snapshot."""

    semver: str
    created_at: datetime
    changelog: Changelog

    @property
    def version(self) -> str:
        return f"{self.name}-{self.semver}"


class Reference(NamedTuple):
    """A parsed `NAME-SEMVER`; `semver` is None for `latest`."""

    name: str
    semver: str | None


def parse(reference: str) -> Reference:
    """`NAME-1.2.0`, `NAME-latest`, or either without `NAME-` for the dataset `rendered`."""
    name, _, number = reference.strip().rpartition("-")
    name = name or DEFAULT_DATASET
    if NAME.fullmatch(name) and (number == LATEST or _SEMVER.fullmatch(number)):
        return Reference(name, None if number == LATEST else number)
    raise BadInputError(
        "this is not a dataset version",
        got=repr(reference),
        allowed="NAME-1.2.0, NAME-latest, 1.2.0 or latest",
        fix="`masker data log` lists the versions",
    )


def order(semver: str) -> tuple[int, int, int]:
    """What versions are sorted by."""
    match = _SEMVER.fullmatch(semver)
    if match is None:
        raise BadInputError("this is not a semantic version", got=repr(semver), allowed="MAJOR.MINOR.PATCH")
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch)


def next_semver(latest: str | None, change: Change) -> str:
    if latest is None or change == "first":
        return "1.0.0"
    major, minor, patch = order(latest)
    if change == "major":
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if change == "minor" else f"{major}.{minor}.{patch + 1}"


class VersionStore:
    """The records of all datasets in the store at `store` (a URI)."""

    def __init__(self, store: str) -> None:
        self._root = artifacts.join(store, "datasets")

    def uri(self, name: str, *parts: str) -> str:
        return artifacts.join(self._root, name, *parts)

    def datasets(self) -> list[str]:
        return [name for name in artifacts.names(self._root) if NAME.fullmatch(name)]

    def semvers(self, name: str) -> list[str]:
        """The versions of `name`, oldest first."""
        found = (entry.removesuffix(".json") for entry in artifacts.names(self.uri(name, "versions")))
        return sorted((semver for semver in found if _SEMVER.fullmatch(semver)), key=order)

    def records(self, name: str) -> list[VersionRecord]:
        """All records of `name`, oldest first."""
        return [self._read(name, semver) for semver in self.semvers(name)]

    def living(self, name: str) -> list[VersionRecord]:
        """The records of `name` whose data were not purged, oldest first."""
        return [self._read(name, semver) for semver in self.semvers(name) if self.state(name, semver) != "purged"]

    def record(self, reference: str) -> VersionRecord:
        """The record that `reference` names; `latest` is the newest version that passed validation.

        Raises `NotFoundError` with the versions there are.
        """
        name, semver = parse(reference)
        known = self.semvers(name)
        if semver is None:
            semver = next((number for number in reversed(known) if self.passed(name, number)), None)
        if semver in known:
            return self._read(name, semver)
        raise NotFoundError(
            "there is no such dataset version",
            got=reference,
            allowed=f"one of {[f'{name}-{number}' for number in known]}" if known else "a version that was ingested",
            fix=self._advice(name, known),
        )

    def valid_before(self, record: VersionRecord) -> VersionRecord | None:
        """The last version before `record` that passed validation; None for none."""
        older = [number for number in self.semvers(record.name) if order(number) < order(record.semver)]
        found = next((number for number in reversed(older) if self.passed(record.name, number)), None)
        return self._read(record.name, found) if found else None

    def newest(self, reference: str) -> str:
        """`reference` with `latest` meaning the newest version, whether it was validated or not."""
        name, semver = parse(reference)
        known = self.semvers(name)
        return f"{name}-{semver or (known[-1] if known else LATEST)}"

    def create(self, record: VersionRecord) -> bool:
        """Write a new record; False when somebody else has taken its number."""
        document = json.dumps(record.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
        return artifacts.create_bytes(self.uri(record.name, "versions", f"{record.semver}.json"), document.encode())

    def validation(self, name: str, semver: str) -> dict[str, Any] | None:
        """The stored report of the last validation, None when there was none."""
        uri = self.uri(name, "validations", f"{semver}.json")
        try:
            report: dict[str, Any] = artifacts.read_json(uri)
        except NotFoundError:
            return None
        return report

    def passed(self, name: str, semver: str) -> bool:
        return self.state(name, semver) == "validated"

    def state(self, name: str, semver: str) -> State:
        """Where a version stands; of one that was purged only the record is left."""
        if artifacts.exists(self.uri(name, "purged", f"{semver}.json")):
            return "purged"
        report = self.validation(name, semver)
        if report is None:
            return "pending"
        return "validated" if report.get("ok") is True else "failed"

    def set_validation(self, name: str, semver: str, report: dict[str, Any]) -> None:
        artifacts.write_json(self.uri(name, "validations", f"{semver}.json"), report)

    def _read(self, name: str, semver: str) -> VersionRecord:
        return artifacts.read_model(VersionRecord, self.uri(name, "versions", f"{semver}.json"))

    def _advice(self, name: str, known: list[str]) -> str:
        if known:
            return f"name one of them, or validate one: `masker data validate --dataset {name}-{known[-1]}`"
        others = [other for other in self.datasets() if other != name]
        elsewhere = f"; there are versions of {others}" if others else ""
        return f"run `masker data ingest` and `masker data validate`{elsewhere}"
