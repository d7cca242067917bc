"""`python faulty_server.py serve …`: the product's own command, whose masker may have a fault.

Version 3 fails on 5 % of the pictures, version 4 takes twice as long for each batch, version 5 gives every eighth
picture back as it came, but for one pixel. Mounted into pods of the real image by a ConfigMap. The faults live here,
around the masker, and nowhere in the product.
"""

from __future__ import annotations

import dataclasses
import sys
import time
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from identity_masker.cli.main import main
from identity_masker.serving import model
from identity_masker.serving.engine import loader

BROKEN, SLOW, LEAKY = "3", "4", "5"
FAILING_SHARE = 0.05
LEAKING_SHARE = 0.125


class FaultyMasker:
    """A masker with the fault of its version."""

    def __init__(self, inner: Any, version: str) -> None:
        self._inner, self._version = inner, version
        self.architecture, self.size = inner.architecture, inner.size

    def mask(self, images: Any, keys: Sequence[str]) -> Any:
        if self._version == BROKEN and any(drawn(key, FAILING_SHARE) for key in keys):
            raise ValueError("the fault that the test wants")
        began = time.perf_counter()
        masked = np.array(self._inner.mask(images, keys))
        if self._version == SLOW:
            time.sleep(time.perf_counter() - began)
        if self._version == LEAKY:
            leaking = [row for row, key in enumerate(keys) if drawn(key, LEAKING_SHARE)]
            masked[leaking] = images[leaking]
            masked[leaking, 0, 0] ^= 1
        return masked


def drawn(key: str, share: float) -> bool:
    return zlib.crc32(key.encode()) / 2**32 < share and not key.startswith("warm-up")


class FaultyLoader(loader.Loader):
    """Loads a model as the product does, and puts the fault of its version around it."""

    def __call__(self) -> model.ServedModel:
        served = super().__call__()
        return dataclasses.replace(served, masker=FaultyMasker(served.masker, served.version))


if __name__ == "__main__":
    loader.Loader = FaultyLoader  # type: ignore[misc]
    sys.exit(main(sys.argv[1:]))
