"""The reason that a model server leaves behind when it fails, in the file where its fleet looks for it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from identity_masker import artifacts
from identity_masker.errors import BadInputError, ConflictError


class LastWords(BaseModel):
    """Why a server ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str
    final: bool = Field(description="Whether another start would end alike.")


def write(path: Path, error: Exception) -> None:
    """A port that another process took meanwhile is not final: the next start takes another."""
    final = isinstance(error, BadInputError) and not isinstance(error, ConflictError)
    words = LastWords(reason=str(error) or type(error).__name__, final=final)
    artifacts.write_json(str(path), words.model_dump())


def read(path: Path) -> LastWords:
    return artifacts.read_model(LastWords, str(path))
