"""`python -m tests.integration.release_servers --model-dir DIR --version V …`: a model server whose version may be bad.

The model is a real artifact and the server the real one. The faults live here, around the masker, and nowhere in the
product: version 2 is sound, version 3 fails on 5 % of the pictures, version 4 takes twice as long, version 5 gives a
quarter of the pictures back as they came, but for one pixel.
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
from identity_masker.telemetry import logs

SOUND, BROKEN, SLOW, LEAKY = "2", "3", "4", "5"
FAILING_SHARE = 0.05
LEAKING_SHARE = 0.25
DELAY_SECONDS = 0.05


class BadMasker:
    """A masker with the fault of its version."""

    def __init__(self, inner: Masker, version: str) -> None:
        self._inner, self._version = inner, version
        self.architecture, self.size = inner.architecture, inner.size

    def mask(self, images: NDArray[np.uint8], keys: Sequence[str]) -> NDArray[np.uint8]:
        if self._version == SLOW:
            time.sleep(DELAY_SECONDS)
        if self._version == BROKEN and any(_drawn(key, FAILING_SHARE) for key in keys):
            raise ValueError("the fault that the test wants")
        masked = self._inner.mask(images, keys)
        if self._version == LEAKY:
            leaking = [row for row, key in enumerate(keys) if _drawn(key, LEAKING_SHARE)]
            masked[leaking] = images[leaking]
            masked[leaking, 0, 0] ^= 1
        return masked


def _drawn(key: str, share: float) -> bool:
    return zlib.crc32(key.encode()) / 2**32 < share and not key.startswith("warm-up")


def main() -> None:
    logs.configure(level="WARNING", correlation_id="", stream=sys.stderr, json_lines=True)
    parser = argparse.ArgumentParser()
    for name in ("model-dir", "version", "host", "report"):
        parser.add_argument(f"--{name}")
    for name, kind in (("port", int), ("parent", int), ("drain-seconds", float), ("grace-seconds", float)):
        parser.add_argument(f"--{name}", type=kind)
    options = vars(parser.parse_args())
    folder, version = Path(options.pop("model_dir")), options.pop("version")

    def load() -> ServedModel:
        torch.set_num_threads(1)
        return ServedModel(BadMasker(artifact.load(folder), version), version, f"1.0.{version}", "0" * 64)

    serve(ServeOptions.model_validate(options), load)


if __name__ == "__main__":
    main()
