"""What has to hold of a version before anything of it is deployed."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from identity_masker.errors import BadInputError
from identity_masker.registry import flavor, models
from identity_masker.release.fit import memory_fits
from identity_masker.release.verdict import Check
from identity_masker.serving import model
from identity_masker.serving.calibration import calibrate
from identity_masker.serving.deploy import Registry
from identity_masker.serving.smoke import picture
from identity_masker.settings import settings

LARGEST_BATCH = 4
TURNS = 4


class Preflight(BaseModel):
    """The version, and what was found in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    semver: str
    sha256: str
    checks: tuple[Check, ...]


def preflight(reference: str, registry: Registry) -> Preflight:
    """Registered, accepted, the files that were registered, loads, its signature, masks the smoke pictures, fits.

    Raises `NotFoundError` for an unknown version, `BadInputError` for a rejected one, one whose files or signature
    differ or that needs more memory than a model server gets, and `MaskerError` for one that does not mask.
    """
    candidate = registry.resolve(reference)
    if candidate.rejected:
        raise BadInputError(
            "the gate rejected this version", got=candidate.semver, fix="release another; `masker register` tells why"
        )
    served = model.from_registry(candidate.version)
    signed = _signature(candidate.version, served.masker.size)
    calibrate(served, largest=LARGEST_BATCH)
    masked = _mask_smoke_pictures(served)
    checks = (
        Check(name="registered", ok=True, detail=f"number {candidate.version}, accepted by the gate"),
        Check(name="hash", ok=True, detail=f"sha256 {served.sha256} as registered"),
        Check(name="loads", ok=True, detail=f"{served.masker.architecture}, {served.masker.size} pixels"),
        Check(name="signature", ok=True, detail=signed),
        Check(name="smoke", ok=True, detail=f"{masked} pictures masked, alike for the same key"),
        Check(name="fits", ok=True, detail=memory_fits(settings().config_dir)),
    )
    return Preflight(version=candidate.version, semver=candidate.semver, sha256=served.sha256, checks=checks)


def _signature(version: str, size: int) -> str:
    """The signature that the version was registered with; it has to be that of a masker of its size."""
    found, expected = models.signature(models.get(version)), flavor.signature(size)
    if found != expected:
        raise BadInputError(
            "the version's signature is not that of a masker of its size",
            got=found.to_dict() if found else "none",
            allowed=str(expected.to_dict()),
            fix="register it again",
        )
    return f"uint8 pictures of {size} by {size} in and out"


def _mask_smoke_pictures(served: model.ServedModel) -> int:
    """Mask the smoke picture and its turns; each has to change, and the same key has to give the same face."""
    from PIL import Image

    size = served.masker.size
    face = np.asarray(Image.fromarray(picture()).resize((size, size)))
    faces = np.stack([np.rot90(face, turn) for turn in range(TURNS)])
    keys = [f"preflight-{turn}" for turn in range(TURNS)]
    first, second = served.masker.mask(faces, keys), served.masker.mask(faces, keys)
    unchanged = [key for key, before, after in zip(keys, faces, first, strict=True) if np.array_equal(before, after)]
    if unchanged or not np.array_equal(first, second):
        raise BadInputError(
            "the version fails the smoke pictures",
            got=f"unchanged: {', '.join(unchanged)}" if unchanged else "another face for the same key",
            fix="train it again, or release another version",
        )
    return TURNS
