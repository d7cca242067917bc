"""A masker as ONNX graphs: what lies beside the weights for servers, and what is said of it. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from identity_masker import artifacts
from identity_masker.errors import BadInputError, NotFoundError

FOLDER = "graphs"
DESCRIPTION = "graphs.json"
READER, REMOVER, REDRAWER = "reader.onnx", "remover.onnx", "redrawer.onnx"
GRAPHS = (READER, REMOVER, REDRAWER)


class GraphDescription(BaseModel):
    """The content of `graphs.json`.

    size     side of the pictures that the reader takes, pixels
    bits     of each factor
    avatars  how many fictitious faces the redrawer holds
    sha256   of each graph, by file name
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    architecture: str
    size: int = Field(ge=16)
    bits: int = Field(ge=2, le=8)
    avatars: int = Field(ge=2)
    sha256: dict[str, str]


def folder_of(masker: Path) -> Path | None:
    """The graphs of the masker in the folder `masker`, or None where it has none."""
    folder = masker / FOLDER
    return folder if (folder / DESCRIPTION).is_file() else None


def write(folder: Path, description: GraphDescription, graphs: dict[str, bytes]) -> None:
    """The description comes last, so that a folder with one is whole."""
    for name, content in graphs.items():
        artifacts.write_bytes(str(folder / name), content)
    artifacts.write_json(str(folder / DESCRIPTION), description.model_dump(mode="json"))


def read(folder: Path) -> tuple[GraphDescription, dict[str, bytes]]:
    """The description, and the graphs by name.

    Raises `NotFoundError` for a missing file and `BadInputError` for one that is not what was written.
    """
    try:
        description = GraphDescription.model_validate(json.loads((folder / DESCRIPTION).read_bytes()))
        graphs = {name: (folder / name).read_bytes() for name in GRAPHS}
    except FileNotFoundError as error:
        raise NotFoundError("a masker's graph is missing", got=error.filename, allowed=", ".join(GRAPHS)) from error
    except (ValueError, ValidationError) as error:
        raise BadInputError("the graphs' description does not validate", got=f"{folder}: {error}") from error
    for name, content in graphs.items():
        if artifacts.sha256(content) != description.sha256.get(name):
            raise BadInputError(
                "a masker's graph is not the one that was saved",
                got=f"another sha256 of {folder / name}",
                fix="fetch the model version again",
            )
    return description, graphs
