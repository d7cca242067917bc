"""Small videos of drawn people for tests, with sound, written once for all tests that look at them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from identity_masker.faces.face_set import FACTORS
from identity_masker.faces.render.footage import film, motion

RATE = 10
SIDE = 96
WIDTH, HEIGHT = 224, 160
PLACES = ((20, 8), (48, 120))
"""Top and left corner of the two people."""


def scene(frames: int, people: int = 2) -> list[NDArray[np.uint8]]:
    """Frames (HEIGHT, WIDTH, 3) of people who move, before a wall."""
    wall = np.full((HEIGHT, WIDTH, 3), (150, 140, 120), np.uint8)
    wall[::2] += 4
    pictures = [wall.copy() for _ in range(frames)]
    for person, (top, left) in enumerate(PLACES[:people]):
        factors = motion(person, frames, RATE)
        factors[:, FACTORS.index("yaw")] *= 0.5
        for picture, drawn in zip(pictures, film(77, person + 1, factors, SIDE), strict=True):
            picture[top : top + SIDE, left : left + SIDE] = drawn
    return pictures


def write(path: Path, pictures: list[NDArray[np.uint8]], *, codec: str = "libx264", sound: str = "aac") -> Path:
    """The pictures as a video with a tone of 440 Hz; the third frame comes late, as from a camera of uneven rate."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=RATE, options={"g": "8"})
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream(sound, rate=48_000, layout="mono")
        for number, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number * 100 + (33 if number == 2 else 0), Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        wave = np.sin(2 * np.pi * 440 * np.arange(len(pictures) * 48_000 // RATE) / 48_000) * 0.3
        for at in range(0, len(wave), 960):
            part = av.AudioFrame.from_ndarray(wave[None, at : at + 960].astype(np.float32), "fltp", "mono")
            part.sample_rate, part.pts, part.time_base = 48_000, at, Fraction(1, 48_000)
            for packet in audio.encode(part):
                container.mux(packet)
        container.mux(audio.encode(None))
    return path


def heard(path: Path) -> float:
    """The loudest frequency of the sound in `path`, in Hz; 0 where there is none."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return 0.0
        parts = [frame.to_ndarray()[0].astype(np.float64) for frame in container.decode(audio=0)]
        wave = np.concatenate(parts)
        rate = container.streams.audio[0].codec_context.sample_rate
    return float(np.argmax(np.abs(np.fft.rfft(wave))) * rate / len(wave))
