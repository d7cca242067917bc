"""A model server whose model only inverts pixels: what is left is the server. First it prints its address."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from benchmarks.events.quiet import quiet
from numpy.typing import NDArray

from identity_masker.serving.model import ServedModel
from identity_masker.serving.serve import Listening, ServeOptions, serve
from identity_masker.serving.server import ServerConfig


class NullMasker:
    architecture = "null"
    size = 64

    def mask(self, images: NDArray[np.uint8], keys: Sequence[str]) -> NDArray[np.uint8]:
        return 255 - images


def announce(listening: Listening) -> None:
    print(listening.url, flush=True)


if __name__ == "__main__":
    quiet()
    options = ServeOptions(port=0, drain_seconds=0, server=ServerConfig(capacity=512))
    serve(options, lambda: ServedModel(NullMasker(), "1", "1.0.0", "0" * 64), announce=announce)
