"""`python -m tests.integration.release_servers --model-dir DIR --version V …`: a model server whose version may be bad.

The model is a real artifact and the server the real one. The faults live here, around the masker, and nowhere in the
product: version 2 is sound, version 3 fails on 5 % of the pictures, version 4 takes half as long again as the others,
version 5 gives a quarter of the pictures back as they came, but for one pixel.

`--pace SECONDS`: each call takes so long, as that of a network on an accelerator would, and the processor is free
meanwhile. What is measured then is the model, not what else the machine does.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from identity_masker.masking import artifact
from identity_masker.masking.masker import Masker
from identity_masker.serving.model import ServedModel
from identity_masker.serving.serve import ServeOptions, serve
from identity_masker.serving.server import ServerConfig
from identity_masker.telemetry import logs

SOUND, BROKEN, SLOW, LEAKY = "2", "3", "4", "5"
FAILING_SHARE = 0.05
LEAKING_SHARE = 0.25
SLOWER = 1.5
BATCH = 32
"""Of a paced server: whatever waits goes into one call."""


class BadMasker:
    """A masker with the fault of its version, whose calls take `pace` seconds."""

    def __init__(self, inner: Masker, version: str, pace: float) -> None:
        self._inner, self._version = inner, version
        self._pace = SLOWER * pace if version == SLOW else pace
        self.architecture, self.size = inner.architecture, inner.size

    def mask(self, images: NDArray[np.uint8], keys: Sequence[str]) -> NDArray[np.uint8]:
        due = time.perf_counter() + (0.0 if _warming_up(keys) else self._pace)
        if self._version == BROKEN and any(_drawn(key, FAILING_SHARE) for key in keys):
            raise ValueError("the fault that the test wants")
        masked = self._inner.mask(images, keys)
        if self._version == LEAKY:
            leaking = [row for row, key in enumerate(keys) if _drawn(key, LEAKING_SHARE)]
            masked[leaking] = images[leaking]
            masked[leaking, 0, 0] ^= 1
        time.sleep(max(0.0, due - time.perf_counter()))
        return masked


def _drawn(key: str, share: float) -> bool:
    return zlib.crc32(key.encode()) / 2**32 < share and not _warming_up([key])


def _warming_up(keys: Sequence[str]) -> bool:
    return keys[0].startswith("warm-up")


def main() -> None:
    logs.configure(level="WARNING", correlation_id="", stream=sys.stderr, json_lines=True)
    parser = argparse.ArgumentParser()
    for name in ("model-dir", "version", "host", "report"):
        parser.add_argument(f"--{name}")
    for name, kind in (("port", int), ("parent", int), ("drain-seconds", float), ("grace-seconds", float)):
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument("--pace", type=float, default=0.0)
    options = vars(parser.parse_args())
    folder, version, pace = Path(options.pop("model_dir")), options.pop("version"), options.pop("pace")

    def load() -> ServedModel:
        torch.set_num_threads(1)
        return ServedModel(BadMasker(artifact.load(folder), version, pace), version, f"1.0.{version}", "0" * 64)

    server = ServerConfig(batch=BATCH if pace else None)
    serve(ServeOptions.model_validate({**options, "server": server}), load)


if __name__ == "__main__":
    main()
