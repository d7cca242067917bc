"""The state of a training on disk: whole or not there, and only ever resumed by the training it came from."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from identity_masker import artifacts
from identity_masker.errors import BadInputError, ConflictError
from identity_masker.faces.face_set import FaceSet

FORMAT = 1
State = dict[str, Any]


def fingerprint(config: BaseModel, faces: FaceSet) -> str:
    """What a training depends on: its configuration and the faces it learns from."""
    parts = [config.model_dump_json().encode(), faces.images.tobytes()]
    if faces.factors is not None:
        parts.append(faces.factors.tobytes())
    return artifacts.sha256(b"\0".join(artifacts.sha256(part).encode() for part in parts))


def write(path: Path, mark: str, state: State) -> None:
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "fingerprint": mark, **state}, buffer)
    artifacts.write_bytes(str(path), buffer.getvalue())


def read(path: Path, mark: str) -> State | None:
    """The state in `path`, or None when there is none.

    Raises `ConflictError` for the checkpoint of another training and `BadInputError` for a damaged one.
    """
    if not path.exists():
        return None
    try:
        state: State = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise BadInputError(
            "a checkpoint cannot be read", got=f"{path}: {error}", fix="delete it and train anew"
        ) from error
    if state.get("format") != FORMAT or state.get("fingerprint") != mark:
        raise ConflictError(
            "the checkpoint belongs to a training with another configuration or dataset",
            got=str(path),
            fix="delete it or train under another run key",
        )
    return state
