"""The model that a server serves: where it comes from, and the proof that it works before anybody sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from identity_masker import artifacts
from identity_masker.errors import NotFoundError
from identity_masker.settings import settings

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

UNREGISTERED = "unregistered"


@dataclass(frozen=True)
class ServedModel:
    """A loaded masker and what it is called.

    version   the registry's number, or "unregistered"
    semver    as in the response header x-model-version
    sha256    hash over the artifact's files
    alive     whether it can be called; close: what to do after its last call
    """

    masker: Masker
    version: str
    semver: str
    sha256: str
    alive: Callable[[], bool] = lambda: True
    close: Callable[[], None] = lambda: None


def from_folder(folder: Path, *, many: bool = False) -> ServedModel:
    """The model saved in `folder`; `many`: for a job over many pictures. Raises `NotFoundError` when there is none."""
    return load(in_folder(folder), many=many)


def from_registry(reference: str, *, many: bool = False) -> ServedModel:
    """The registered version that `reference` means; `many`: for a job over many pictures. Raises as `fetch` does."""
    return load(fetch(reference), many=many)


class Fetched(NamedTuple):
    """A version whose files are on this machine and, if it is registered, are the ones that were registered."""

    version: str
    semver: str
    folder: Path

    def name(self, digest: str) -> str:
        """The semantic version; of one that nobody registered, a name made of the hash of its files."""
        return self.semver or f"0.0.0+{digest[:12]}"


def fetch(reference: str) -> Fetched:
    """Bring the files of a registered version to this machine.

    A number always means the same files, so one that was fetched before needs no registry: a server that crashed
    while MLflow is away comes up again, and sooner.
    Raises `NotFoundError` for an unknown reference and `BadInputError` for a version that the gate rejected or
    whose files are not the ones that were registered.
    """
    known = _fetched_before(reference)
    if known is not None:
        return known
    from identity_masker.registry import models

    version = models.resolve(reference)
    models.check_accepted(version)
    folder = models.download(version)
    note = {"registry": settings().tracking_uri, "semver": version.semver, "sha256": version.sha256}
    artifacts.write_json(str(_note(version.version)), note)
    return Fetched(version.version, version.semver, folder)


def _fetched_before(reference: str) -> Fetched | None:
    note = _note(reference)
    if not reference.isdecimal() or not note.is_file():
        return None
    known = artifacts.read_json(str(note))
    folder = settings().home / "models" / known["sha256"]
    if known["registry"] != settings().tracking_uri or not folder.is_dir():
        return None
    if artifacts.sha256_folder(folder) != known["sha256"]:
        return None
    return Fetched(reference, known["semver"], folder)


def _note(version: str) -> Path:
    return settings().home / "models" / "versions" / f"{version}.json"


def in_folder(folder: Path) -> Fetched:
    """A model that nobody registered. Raises `NotFoundError` when there is none."""
    if not (folder / "model.json").is_file():
        raise NotFoundError(
            "there is no model in this folder",
            got=folder,
            allowed="model.json and its weights",
            fix="check --model-dir",
        )
    return Fetched(UNREGISTERED, "", folder)


def load(fetched: Fetched, *, many: bool = False) -> ServedModel:
    """The model, in this process; for `many` pictures on the GPU where there is one."""
    from identity_masker.masking import loading

    digest = artifacts.sha256_folder(fetched.folder)
    masker = loading.load_for_many(fetched.folder) if many else loading.load(fetched.folder)
    return ServedModel(masker, fetched.version, fetched.name(digest), digest)
