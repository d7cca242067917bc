"""References of registered versions: in the store, and where their copy comes from, MLflow."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from identity_masker import artifacts
from identity_masker.drift import archive, reference
from identity_masker.errors import NotFoundError
from identity_masker.registry import runs

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
        copied(fetched, uri)
    return uri


def copied(folder: Path, uri: str) -> int:
    """Store the files of `folder`, the describing one last; how many bytes they have."""
    names = sorted(path.name for path in folder.iterdir())
    for name in [*(each for each in names if each != reference.FILE), reference.FILE]:
        artifacts.put_file(artifacts.join(uri, name), folder / name)
    return sum((folder / name).stat().st_size for name in names)
