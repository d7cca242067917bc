"""Draw the faces that `masker traffic` sends into the package: `python scripts/draw_traffic_faces.py`.

They are drawn ahead because drawing takes torch, which takes longer to load than many a run of traffic lasts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from identity_masker.faces import render
from identity_masker.serving.traffic_faces import PATH, PEOPLE, SEED, SIDE, sheet

QUALITY = 85


def drawn() -> NDArray[np.uint8]:
    """The people of `traffic_faces.faces` as the renderer draws them: (PEOPLE, SIDE, SIDE, 3)."""
    people = np.arange(PEOPLE)
    return np.asarray(render.draw(SEED, people, np.zeros_like(people), SIDE).images)


if __name__ == "__main__":
    Image.fromarray(sheet(drawn())).save(PATH, "WEBP", quality=QUALITY, method=6)
    print(f"{PATH}: {PATH.stat().st_size:,} bytes")
