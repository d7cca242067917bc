"""An examiner for tests of what stands around it: real networks, hardly trained, in seconds."""

from __future__ import annotations

from pathlib import Path

from tests.unit.masking.small_faces import faces

from identity_masker.masking.alignment import Frames, Window
from identity_masker.masking.attackers import KnownPeople, train_clear
from identity_masker.masking.calibration import Calibration
from identity_masker.masking.evaluation import HEAD
from identity_masker.masking.evaluation_config import EncoderConfig, JudgeConfig
from identity_masker.masking.examiner import make_examiner
from identity_masker.masking.judge import Labels, find_landmarks, train_finder


def small_examiner(folder: Path, steps: int = 60) -> Calibration:
    """An examiner in `folder`, trained for so many steps on 24 people."""
    known, test = faces(0, 24, 5), faces(500, 12, 6)
    encoder = EncoderConfig(size=32, widths=(12, 16, 24, 32), embedding=32, steps=steps, batch=32)
    window, labels = Window(*HEAD, encoder.size), Labels.of(known)
    assert labels is not None
    finder = train_finder(known.images, labels, JudgeConfig(widths=(8, 12, 16, 24), steps=steps, batch=32), 1)
    crops = Frames.of(find_landmarks(finder, known.images)).crop(known.images, window)
    network = train_clear(KnownPeople.of(crops, known.identities), encoder, 1).encoder
    return make_examiner(finder, network, window, known.images, test.images, test.identities, folder, 1)
