"""What every server of the benchmark does with a request: nothing (`null`), or mask a picture file (`masker`)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Work:
    """Requests to inputs of the model, a batch of them through the model, and its outputs to answers."""

    media_type = "application/octet-stream"

    @staticmethod
    def of(words: Sequence[str]) -> Work:
        """The work that the words of a command line name: `null`, or `masker` and the folder of the artifact."""
        return Masking(Path(words[1])) if words[0] == "masker" else Work()

    def read(self, body: bytes) -> Any:
        return body

    def masked(self, batch: Sequence[Any]) -> Sequence[Any]:
        return batch

    def answers(self, masked: Sequence[Any]) -> list[bytes]:
        return list(masked)


class Masking(Work):
    """The masker of the artifact in a folder, on one thread, as this project's own server has it."""

    media_type = "image/jpeg"

    def __init__(self, folder: Path) -> None:
        import numpy as np

        from identity_masker.faces.decode import Limits, decode
        from identity_masker.masking import loading
        from identity_masker.serving.pictures import encode

        self._decode, self._encode, self._limits, self._stack = decode, encode, Limits(), np.stack
        self._masker = loading.load(folder)

    def read(self, body: bytes) -> Any:
        return self._decode(body, self._limits)

    def masked(self, batch: Sequence[Any]) -> Sequence[Any]:
        return list(self._masker.mask(self._stack(batch), [secrets.token_hex(16) for _ in batch]))

    def answers(self, masked: Sequence[Any]) -> list[bytes]:
        return [self._encode(each, "JPEG") for each in masked]
