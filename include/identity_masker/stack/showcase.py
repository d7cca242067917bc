"""The before/after picture: held-out faces sent through the HTTP API, above what came back."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from identity_masker import artifacts
from identity_masker.errors import MaskerError
from identity_masker.faces.snapshot import open_snapshot

PEOPLE = 8
TILE = 128


def before_after(gateway: str, dataset: str, target: Path) -> Path:
    """Mask one face each of `PEOPLE` people of the test split through `gateway` and write the picture."""
    faces = open_snapshot(dataset).load("test", 64)
    _, first = np.unique(faces.identities, return_index=True)
    before = [faces.images[row] for row in first[:PEOPLE]]
    with httpx.Client(base_url=gateway, timeout=30) as http:
        after = [_mask(http, picture) for picture in before]
    sheet = np.concatenate([_row(before), _row(after)])
    artifacts.write_bytes(str(target), png(sheet))
    return target


def png(picture: NDArray[np.uint8]) -> bytes:
    """`picture` (H, W, 3) as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def _mask(http: httpx.Client, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    response = http.post("/v1/mask", content=png(picture), headers={"content-type": "image/png"})
    if response.is_error:
        raise MaskerError(
            "the masking API refused a held-out face", got=f"{response.status_code} {response.text[:300]}"
        )
    return np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB"))


def _row(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    tiles = [np.asarray(Image.fromarray(p).resize((TILE, TILE), Image.Resampling.NEAREST)) for p in pictures]
    return np.concatenate(tiles, axis=1)
