"""The model that a server serves: where it comes from, and the proof that it works before anybody sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from identity_masker import artifacts
from identity_masker.errors import MaskerError, NotFoundError
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
    """

    masker: Masker
    version: str
    semver: str
    sha256: str


def from_folder(folder: Path) -> ServedModel:
    """The model saved in `folder`. Raises `NotFoundError` when there is none."""
    if not (folder / "model.json").is_file():
        raise NotFoundError(
            "there is no model in this folder",
            got=folder,
            allowed="model.json and its weights",
            fix="check --model-dir",
        )
    return _load(folder, UNREGISTERED, "")


def from_registry(reference: str) -> ServedModel:
    """The registered version that `reference` means. Raises as `fetch` does."""
    fetched = fetch(reference)
    return _load(fetched.folder, fetched.version, fetched.semver)


class Fetched(NamedTuple):
    """A registered version whose files are on this machine and are the ones that were registered."""

    version: str
    semver: str
    folder: Path


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


def _load(folder: Path, version: str, semver: str) -> ServedModel:
    from identity_masker.masking import artifact

    digest = artifacts.sha256_folder(folder)
    return ServedModel(artifact.load(folder), version, semver or f"0.0.0+{digest[:12]}", digest)


def limit_threads(threads: int) -> None:
    """Compute each call with `threads` threads.

    More than one a call loses on shared cores: OpenMP's barriers spin while a neighbour holds the other core.
    """
    import torch

    torch.set_num_threads(threads)


def warm_up(model: ServedModel, batch: int) -> None:
    """Mask noise once alone and once as a full batch, so that the first client does not pay for lazy set-up.

    Raises `MaskerError` when the model gives back anything but masked pictures.
    """
    generator = np.random.default_rng(0)
    for count in {1, batch}:
        images = generator.integers(0, 256, (count, model.masker.size, model.masker.size, 3), dtype=np.uint8)
        masked = model.masker.mask(images, [f"warm-up-{row}" for row in range(count)])
        if masked.shape != images.shape or masked.dtype != np.uint8 or np.array_equal(masked, images):
            raise MaskerError(
                "the model does not mask",
                got=f"{masked.dtype} {masked.shape} for uint8 {images.shape}, the same pixels or another form",
                allowed="an array of the same form with other pixels",
                fix="train the model again, or serve another version",
            )
