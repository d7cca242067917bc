from __future__ import annotations

import numpy as np
from tests.unit.masking.small_faces import TINY, faces

from identity_masker.masking.alignment import resized
from identity_masker.masking.encoder import Encoder
from identity_masker.masking.evaluation_config import InversionConfig
from identity_masker.masking.inversion import invert, train_inverter

CONFIG = InversionConfig(widths=(8, 8, 8), steps=60, batch=16, learning_rate=1e-2)


def test_a_masking_that_can_be_undone_is_undone_on_people_never_seen() -> None:
    known, others = (resized(faces(first, 12, 5).images, 32) for first in (0, 100))
    inverter = train_inverter(255 - known[None], known, Encoder(TINY.encoder), CONFIG, 1)
    found = invert(inverter, 255 - others)
    off = np.abs(found.astype(int) - others).mean()
    assert off < 0.5 * np.abs(others.astype(int) - (255 - others)).mean()
