"""The test picture that a model server must mask before it gets traffic."""

from __future__ import annotations

import httpx
import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError
from identity_masker.faces.decode import Limits, decode
from identity_masker.serving.pictures import encode

SIDE = 64


def picture() -> NDArray[np.uint8]:
    """A light oval on a gradient: (64, 64, 3), like a face to nobody, but not noise."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    oval = ((x - 0.5) ** 2 / 0.09 + (y - 0.5) ** 2 / 0.14) < 1
    shade = np.where(oval[..., None], np.array([224, 172, 140]), (80 + 90 * y)[..., None])
    return shade.astype(np.uint8)


async def smoke(http: httpx.AsyncClient, seconds: float, token: str | None = None) -> str:
    """Send the test picture through the server's own API. Returns what is wrong, or nothing."""
    before = picture()
    content, headers = encode(before, "PNG"), {"content-type": "image/png"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    try:
        answer = await http.post("/v1/mask", content=content, headers=headers, timeout=seconds)
    except httpx.HTTPError as error:
        return f"the test picture got no answer ({type(error).__name__})"
    if answer.status_code != httpx.codes.OK:
        return f"the test picture got status {answer.status_code}"
    try:
        after = decode(answer.content, Limits())
    except BadInputError as error:
        return f"the answer to the test picture is not a picture: {error}"
    if after.shape != before.shape or np.array_equal(after, before):
        return "the answer to the test picture is not a masked picture of its size"
    return ""
