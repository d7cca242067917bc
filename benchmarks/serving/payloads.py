"""What the servers are sent: the same picture for all, and a tensor in the binary form of the protocol."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np

from identity_masker.serving.inference.wire import HEADER_LENGTH
from identity_masker.serving.pictures import encode


class Payload(NamedTuple):
    """A body and its headers."""

    body: bytes
    headers: dict[str, str]

    def also(self, headers: dict[str, str]) -> Payload:
        """The same with `headers` more."""
        return Payload(self.body, {**self.headers, **headers})


def portrait() -> Payload:
    """A face of 64 pixels as JPEG, drawn by the project's renderer."""
    from identity_masker.faces import render

    image = render.draw(3, np.array([0]), np.array([0]), 64).images[0]
    return Payload(encode(image, "JPEG"), {"content-type": "image/jpeg"})


def tensor() -> Payload:
    """12,288 bytes: one picture of 64 × 64 as a binary tensor, the answer asked for in the same form."""
    image = np.zeros((1, 64, 64, 3), np.uint8)
    given = {"name": "images", "datatype": "UINT8", "shape": list(image.shape)}
    given["parameters"] = {"binary_data_size": image.nbytes}
    head = json.dumps({"inputs": [given], "parameters": {"binary_data_output": True}}).encode()
    return Payload(head + image.tobytes(), {HEADER_LENGTH: str(len(head))})
