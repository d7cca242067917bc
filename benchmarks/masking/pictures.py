"""The pictures of docs/model.md, and the flicker of drawn videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from benchmarks.masking.people import FULL, WORLD
from benchmarks.masking.train import MASKER

from identity_masker.faces import render
from identity_masker.masking import artifact
from identity_masker.masking.motion import flicker, video
from identity_masker.masking.report import contact_sheet

COLUMNS = 10
SECOND, TEN_SECONDS, PEOPLE = 24, 250, 6


def run(folder: Path, images: Path, *, quick: bool) -> None:
    """Write masker-64.png (faces, and two answers to each) and masker-video.png into `images`."""
    masker = artifact.load(folder / MASKER, "docs")
    people = FULL.test.first + np.arange(COLUMNS)
    clear = render.draw(WORLD, people, np.arange(COLUMNS), masker.size).images
    answers = [masker.mask(clear, [f"p{row}{suffix}" for row in range(COLUMNS)]) for suffix in ("", "x")]
    images.mkdir(parents=True, exist_ok=True)
    (images / "masker-64.png").write_bytes(contact_sheet(np.stack([clear, *answers])))
    frames, _ = video(1, 3, 4 * COLUMNS, masker.size)
    masked = masker.mask(frames, ["v"] * len(frames))
    (images / "masker-video.png").write_bytes(contact_sheet(np.stack([frames[::4], masked[::4]])))
    for count in (SECOND,) if quick else (SECOND, TEN_SECONDS):
        found = flicker(masker, 1, PEOPLE, count, masker.size)
        print(
            f"{PEOPLE} videos of {count} frames: second difference {found.clear:.2f} clear, {found.masked:.2f} masked"
        )
