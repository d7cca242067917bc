"""References of registered versions: in the store, and where their copy comes from, MLflow."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory

from identity_masker import artifacts
from identity_masker.drift import archive, reference
from identity_masker.errors import NotFoundError
from identity_masker.faces.versions import VersionStore
from identity_masker.registry import runs
from identity_masker.settings import settings

RUN_FOLDER = "drift/reference"


def at_hand(version: str, run_id: str) -> str:
    """The folder of the reference of `version` in the store, fetched from its MLflow run when it is not there yet.

    Raises `NotFoundError` when the version has none.
    """
    uri = archive.reference_uri(version)
    if reference.is_reference(uri):
        return uri
    with TemporaryDirectory(prefix="masker-reference-") as place:
        try:
            fetched = runs.get_run(run_id).fetch(RUN_FOLDER, Path(place))
        except NotFoundError as error:
            raise NotFoundError(
                "the version has no drift reference", got=f"version {version}",
                fix=f"run `masker drift reference --model-version {version}`",
            ) from error  # fmt: skip
        _refuse_purged(reference.provenance(str(fetched)).source, version, run_id)
        copied(fetched, uri)
    return uri


def _refuse_purged(dataset: str, version: str, run_id: str) -> None:
    """Remove the copy of a reference whose data were purged while MLflow did not answer."""
    name, _, semver = dataset.rpartition("-")
    if VersionStore(settings().store).state(name, semver) == "purged":
        runs.get_run(run_id).remove(RUN_FOLDER)
        raise NotFoundError(
            "the drift reference of the version was purged because a person asked to be forgotten",
            got=f"version {version}, trained on {dataset}",
            fix="train again and withdraw the version",
        )


def copied(folder: Path, uri: str) -> int:
    """Store the files of `folder`, the describing one last; how many bytes they have."""
    names = sorted(path.name for path in folder.iterdir())
    for name in [*(each for each in names if each != reference.FILE), reference.FILE]:
        artifacts.put_file(artifacts.join(uri, name), folder / name)
    return sum((folder / name).stat().st_size for name in names)


def purge(datasets: Collection[str]) -> tuple[str, ...]:
    """Remove from the store the references of what the dataset versions `datasets` hold; of which versions they were.

    They have rows that describe single pictures, and masked ones. The copy with an MLflow run stays: see
    `purge_copies`.
    """
    gone = []
    for version in archive.versions():
        uri = archive.reference_uri(version)
        if reference.is_reference(uri) and reference.provenance(uri).source in datasets:
            artifacts.remove(artifacts.join(uri, reference.FILE))
            artifacts.remove(uri)
            gone.append(version)
    return tuple(gone)


def purge_copies(run_ids: Collection[str]) -> None:
    """Remove the references that are kept with these MLflow runs. Raises `TemporaryError` when MLflow refuses it."""
    for run_id in run_ids:
        runs.get_run(run_id).remove(RUN_FOLDER)
