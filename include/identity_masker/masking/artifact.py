"""A masker as files: `model.json` says what it is, `weights.safetensors` holds the weights. No pickle.

`graphs/` holds what servers load, for kinds that have it (`graph_files`).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from identity_masker import artifacts
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.masking import graph_files
from identity_masker.masking.config import AnyArchitecture
from identity_masker.masking.kinds import KINDS
from identity_masker.masking.masker import Masker, StorableMasker
from identity_masker.settings import settings

DESCRIPTION = "model.json"
WEIGHTS = "weights.safetensors"
FORMAT = 1


class ArtifactDescription(BaseModel):
    """The content of `model.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    architecture: str
    size: int
    config: AnyArchitecture
    weights_sha256: str


def save(masker: StorableMasker, folder: Path) -> None:
    """Write the masker into `folder`; the description comes last, so that a folder with one is whole."""
    state = {name: tensor.cpu().contiguous() for name, tensor in KINDS[masker.architecture].weights(masker).items()}
    check_numbers(state, "the trained network")
    weights = save_tensors(state)
    description = ArtifactDescription(
        architecture=masker.architecture,
        size=masker.size,
        config=masker.config,
        weights_sha256=artifacts.sha256(weights),
    )
    artifacts.write_bytes(str(folder / WEIGHTS), weights)
    artifacts.write_json(str(folder / DESCRIPTION), description.model_dump(mode="json"))


def export(masker: StorableMasker, folder: Path) -> None:
    """Write the graphs that servers load beside the files of `save`, for kinds that have them."""
    KINDS[masker.architecture].export(masker, folder / graph_files.FOLDER)


def load(folder: Path, secret: str | None = None, device: torch.device | None = None) -> Masker:
    """The masker in `folder`; `secret` chooses the avatars, by default MASKER_MASK_KEY.

    It computes on `device`, by default the processor. Raises `NotFoundError` for a missing file and `BadInputError`
    for one that is not what it should be.
    """
    description = _description(folder)
    content = _content(folder / WEIGHTS)
    found = artifacts.sha256(content)
    if found != description.weights_sha256:
        raise BadInputError(
            "the masker's weights are not the ones that were saved",
            got=f"sha256 {found[:12]}… in {folder / WEIGHTS}",
            allowed=f"{description.weights_sha256[:12]}…",
            fix="fetch the model version again",
        )
    secret = secret or settings().mask_key.get_secret_value()
    try:
        weights = load_tensors(content)
        check_numbers(weights, str(folder / WEIGHTS))
        return KINDS[description.architecture].build(description.config, weights, secret, device or torch.device("cpu"))
    except (SafetensorError, RuntimeError) as error:
        raise BadInputError("the weights do not fit the architecture", got=f"{folder}: {error}") from error


def check_numbers(weights: dict[str, Tensor], where: str) -> None:
    """Raises `BadInputError` where a weight is not a finite number: such a network masks nothing."""
    broken = [name for name, tensor in weights.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise BadInputError(
            "the weights hold numbers that are not finite", got=f"{', '.join(broken[:3])} of {len(broken)} in {where}",
            fix="train anew with a lower training.learning_rate, or choose another version",
        )  # fmt: skip


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise NotFoundError("a masker's file is missing", got=str(path), allowed=f"{DESCRIPTION} and {WEIGHTS}")
    return path.read_bytes()


def _description(folder: Path) -> ArtifactDescription:
    content = _content(folder / DESCRIPTION)
    try:
        document = json.loads(content)
        if isinstance(document, dict) and document.get("architecture") not in KINDS:
            raise BadInputError(
                "this program cannot run the masker's architecture",
                got=document.get("architecture"),
                allowed=", ".join(KINDS),
                fix="choose another model version or update the program",
            )
        return ArtifactDescription.model_validate(document)
    except (ValueError, ValidationError) as error:
        raise BadInputError(
            "a masker's description does not validate", got=f"{folder / DESCRIPTION}: {error}"
        ) from error
