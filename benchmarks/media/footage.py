"""The film of the benchmark: two drawn people who look around, talk and blink, and a tone of 440 Hz."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from identity_masker.faces.render.footage import film, motion

RATE = 25
SIDE = 192
WIDTH, HEIGHT = 480, 320
SOUND_RATE = 44_100


def write_film(path: Path, seconds: float) -> Path:
    """Write the film to `path`."""
    count = round(seconds * RATE)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"crf": "16"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for number, picture in enumerate(_pictures(count)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        wave = (0.2 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE)).astype(np.float32)
        for at in range(0, len(wave), 1024):
            part = av.AudioFrame.from_ndarray(wave[None, at : at + 1024], "fltp", "mono")
            part.sample_rate, part.pts, part.time_base = SOUND_RATE, at, Fraction(1, SOUND_RATE)
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    return path


def _pictures(count: int) -> Iterator[NDArray[np.uint8]]:
    across = np.linspace(60, 180, WIDTH)[None, :, None] * np.array([1.0, 0.9, 0.8])
    wall: NDArray[np.uint8] = (across + np.linspace(0, 40, HEIGHT)[:, None, None]).clip(0, 255).astype(np.uint8)
    people = [film(77, person, motion(person, count, RATE), SIDE) for person in (1, 2)]
    for number, (one, other) in enumerate(zip(*people, strict=True)):
        picture = wall.copy()
        left, right = round(20 + 10 * np.sin(number / 20)), round(260 + 12 * np.cos(number / 30))
        picture[40 : 40 + SIDE, left : left + SIDE] = one
        picture[90 : 90 + SIDE, right : right + SIDE] = other
        yield picture
