"""`python faulty_server.py serve …`: the product's own command; version 3 fails on 5 % of the pictures.

Mounted into pods of the real image by a ConfigMap. The fault lives here, around the masker, and nowhere in the product.
"""

from __future__ import annotations

import dataclasses
import sys
import zlib
from collections.abc import Sequence
from typing import Any

from identity_masker.cli.main import main
from identity_masker.serving.engine.loader import Loader
from identity_masker.serving.model import ServedModel

BROKEN = "3"
FAILING_SHARE = 0.05
_sound = Loader.__call__


class FaultyMasker:
    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.architecture, self.size = inner.architecture, inner.size

    def mask(self, images: Any, keys: Sequence[str]) -> Any:
        if any(fails(key) for key in keys):
            raise ValueError("the fault that the test wants")
        return self._inner.mask(images, keys)


def fails(key: str) -> bool:
    return zlib.crc32(key.encode()) / 2**32 < FAILING_SHARE and not key.startswith("warm-up")


def loaded(loader: Loader) -> ServedModel:
    served = _sound(loader)
    return dataclasses.replace(served, masker=FaultyMasker(served.masker)) if served.version == BROKEN else served


if __name__ == "__main__":
    Loader.__call__ = loaded  # type: ignore[method-assign]
    sys.exit(main(sys.argv[1:]))
