"""Dataset versions: how many, how old the newest is, and what it holds."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import AwareDatetime, BaseModel

from identity_masker import artifacts
from identity_masker.faces.versions import VersionStore
from identity_masker.monitoring.sample import Family, Sample

STATES = ("pending", "validated", "failed")
NEWEST = Family(
    "masker_dataset_created_timestamp_seconds",
    "When the newest version of the dataset that passed validation was made.",
    ("dataset", "version"),
)
VERSIONS = Family(
    "masker_dataset_versions", "Versions of the dataset by the outcome of validation.", ("dataset", "state")
)
IMAGES = Family("masker_dataset_images", "Pictures of the newest validated version by split.", ("dataset", "split"))
PEOPLE = Family("masker_dataset_people", "People of the newest validated version.", ("dataset",))
INGESTED = Family(
    "masker_dataset_ingested_images",
    "Pictures that the ingestion of the newest validated version was given, by what became of them.",
    ("dataset", "outcome"),
)


class _Counts(BaseModel):
    accepted: int
    quarantined: int
    duplicates: int
    people: int
    split_images: dict[str, int]


class _Record(BaseModel):
    created_at: AwareDatetime
    counts: _Counts


class DataSource:
    """Reads the records of dataset versions in the store."""

    name = "data"
    every = 60.0
    families = (NEWEST, VERSIONS, IMAGES, PEOPLE, INGESTED)

    def __init__(self, store: str) -> None:
        self._versions = VersionStore(store)

    def read(self) -> Iterator[Sample]:
        for dataset in self._versions.datasets():
            yield from self._dataset(dataset)

    def _dataset(self, dataset: str) -> Iterator[Sample]:
        states: dict[str, str] = {
            semver: self._versions.state(dataset, semver) for semver in self._versions.semvers(dataset)
        }
        for state in STATES:
            yield VERSIONS.sample(list(states.values()).count(state), dataset, state)
        newest = next((semver for semver in reversed(states) if states[semver] == "validated"), None)
        if newest is None:
            return
        record = artifacts.read_model(_Record, self._versions.uri(dataset, "versions", f"{newest}.json"))
        yield NEWEST.sample(record.created_at.timestamp(), dataset, newest)
        yield PEOPLE.sample(record.counts.people, dataset)
        for split, images in record.counts.split_images.items():
            yield IMAGES.sample(images, dataset, split)
        for outcome in ("accepted", "quarantined", "duplicates"):
            yield INGESTED.sample(getattr(record.counts, outcome), dataset, outcome)
