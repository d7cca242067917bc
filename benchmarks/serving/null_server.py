"""A model server whose model only inverts pixels: what is left is the server. First it prints its address.

Where settings ask for tokens (MASKER_AUTH), it also writes its log, to a file in MASKER_HOME, as in production.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
from benchmarks.events.quiet import quiet
from numpy.typing import NDArray

from identity_masker.cli.authority import server_guard
from identity_masker.serving.model import ServedModel
from identity_masker.serving.serve import Listening, ServeOptions, serve
from identity_masker.serving.server import ServerConfig
from identity_masker.settings import settings
from identity_masker.telemetry import logs


class NullMasker:
    architecture = "null"
    size = 64

    def mask(self, images: NDArray[np.uint8], keys: Sequence[str]) -> NDArray[np.uint8]:
        return 255 - images


def announce(listening: Listening) -> None:
    print(listening.url, flush=True)


if __name__ == "__main__":
    options = ServeOptions(port=0, drain_seconds=0, server=ServerConfig(capacity=512))
    guard = server_guard()
    with contextlib.ExitStack() as stack:
        quiet()
        if guard is not None:
            log = stack.enter_context((settings().home / "server.log").open("w", encoding="utf-8"))
            logs.configure(level="INFO", correlation_id="", stream=log, json_lines=True)
        serve(options, lambda: ServedModel(NullMasker(), "1", "1.0.0", "0" * 64), announce=announce, guard=guard)
