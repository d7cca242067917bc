"""What an examiner's scores mean: the numbers that stand beside its networks."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from identity_masker.errors import BadInputError, NotFoundError

GRAPH, CALIBRATION = "examiner.onnx", "calibration.json"
NAME_LENGTH = 12


class Calibration(BaseModel):
    """Scores are cosines of two single photographs; pairs are clear photographs of people unknown in training.

    far        share of the pairs of unrelated people that score `same` or more
    unrelated  what one in ten pairs of unrelated people scores or more
    recall     share of the pairs of one person that score `same` or more
    faces_found, others_found  share of clear photographs, and of photographs with the face destroyed, taken for a face
    face       linear map (features + 1) of the features; above 0 there is a face
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: int = 1
    size: int = Field(ge=32, description="Edge of the pictures, pixels.")
    finds_landmarks: bool
    same: float
    unrelated: float
    far: float
    recall: float
    pairs: int
    faces_found: float
    others_found: float
    face: tuple[float, ...]
    graph_sha256: str

    @property
    def name(self) -> str:
        """What evidence calls the examiner: by its networks and by what their scores are taken to mean."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:NAME_LENGTH]


def read_calibration(folder: Path) -> Calibration:
    """The calibration of the examiner in `folder`, with networks that are those it was made for.

    Raises `NotFoundError` when a file is missing, `BadInputError` when they are not what they should be.
    """
    try:
        calibration = Calibration.model_validate_json((folder / CALIBRATION).read_bytes())
        found = hashlib.sha256((folder / GRAPH).read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise NotFoundError(
            "an examiner's file is missing", got=error.filename, allowed=f"{GRAPH}, {CALIBRATION}"
        ) from error
    except ValidationError as error:
        raise BadInputError("an examiner's calibration does not validate", got=f"{folder}: {error}") from error
    if found != calibration.graph_sha256:
        raise BadInputError(
            "the examiner's networks are not the ones that were calibrated",
            got=f"sha256 {found[:NAME_LENGTH]}… in {folder / GRAPH}",
            allowed=f"{calibration.graph_sha256[:NAME_LENGTH]}…",
            fix="fetch it again",
        )
    return calibration
