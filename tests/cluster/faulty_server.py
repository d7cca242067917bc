"""`python faulty_server.py [--pace=SECONDS] serve …`: the product's own command, whose masker may have a fault.

Version 3 fails on 5 % of the pictures, version 4 takes half as long again for each call as the pace says, version 5
gives every eighth picture back as it came, but for one pixel. With a pace each call takes so long, as that of a network
on an accelerator would, and the processor is free meanwhile. Mounted into pods of the real image by a ConfigMap. The
faults live here, around the masker, and nowhere in the product.
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
SLOWER = 1.5
FAILING_SHARE = 0.05
LEAKING_SHARE = 0.18


class FaultyMasker:
    """A masker with the fault of its version, whose calls take `pace` seconds."""

    def __init__(self, inner: Any, version: str, pace: float) -> None:
        self._inner, self._version = inner, version
        self._pace = SLOWER * pace if version == SLOW else pace
        self.architecture, self.size = inner.architecture, inner.size

    def mask(self, images: Any, keys: Sequence[str]) -> Any:
        due = time.perf_counter() + (0.0 if warming_up(keys[0]) else self._pace)
        if self._version == BROKEN and any(drawn(key, FAILING_SHARE) for key in keys):
            raise ValueError("the fault that the test wants")
        masked = np.array(self._inner.mask(images, keys))
        if self._version == LEAKY:
            leaking = [row for row, key in enumerate(keys) if drawn(key, LEAKING_SHARE)]
            masked[leaking] = images[leaking]
            masked[leaking, 0, 0] ^= 1
        time.sleep(max(0.0, due - time.perf_counter()))
        return masked


def drawn(key: str, share: float) -> bool:
    return zlib.crc32(key.encode()) / 2**32 < share and not warming_up(key)


def warming_up(key: str) -> bool:
    return key.startswith("warm-up")


class FaultyLoader(loader.Loader):
    """Loads a model as the product does, and puts the fault of its version around it."""

    pace = 0.0

    def __call__(self) -> model.ServedModel:
        served = super().__call__()
        return dataclasses.replace(served, masker=FaultyMasker(served.masker, served.version, self.pace))


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[0].startswith("--pace="):
        FaultyLoader.pace = float(words.pop(0).removeprefix("--pace="))
    loader.Loader = FaultyLoader  # type: ignore[misc]
    sys.exit(main(words))
