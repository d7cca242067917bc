"""What the users of a gateway send: faces of people that come back, in the formats and sizes of phones and cameras."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from identity_masker.serving import traffic_faces
from identity_masker.serving.pictures import encode

SIZES = ((64, 0.45), (96, 0.25), (128, 0.2), (224, 0.1))
"""Sides in pixels, and how many of the pictures have them."""

FORMATS = (("JPEG", 0.7), ("PNG", 0.2), ("WEBP", 0.1))
DEVICES = (("phone", 0.7), ("desktop", 0.25), ("tablet", 0.05))
PICTURES = 48
MIRRORED = 0.5
KEYED = 0.3
"""Share of the requests that ask for the same fictitious face each time."""

TOLD = 0.1
"""Share of the masked pictures whose user tells an outcome."""

POPULARITY = 0.8
"""The user of rank r comes with weight r to the power of minus this: a few come often, most hardly ever."""


class Visit(NamedTuple):
    """One request, `due` seconds from the start. `key`: None for a new face. `sound`: whether the body is whole."""

    due: float
    user: str
    body: bytes
    key: str | None
    device: str
    tells: bool
    sound: bool


def visits(
    rate: float,
    seconds: float,
    users: int,
    *,
    bad: float,
    seed: int,
    popularity: float = POPULARITY,
    pictures: Sequence[bytes] = (),
) -> Iterator[Visit]:
    """The requests of `seconds` in order: a Poisson process of `rate` a second. The same seed gives the same ones.

    `popularity`: 0 for users who all come equally often. `bad`: share of the bodies that are cut off. `pictures`: files
    to send instead of drawn faces.
    """
    rng = np.random.default_rng(seed)
    files = list(pictures) or drawn(PICTURES, seed)
    weights = np.arange(1, users + 1, dtype=np.float64) ** -popularity
    cumulated = np.cumsum(weights) / weights.sum()
    count = rng.poisson(rate * seconds)
    due = np.sort(rng.uniform(0.0, seconds, count))
    who = np.searchsorted(cumulated, rng.uniform(size=count))
    which = rng.integers(0, len(files), count)
    chances = rng.uniform(size=(count, 3))
    devices = rng.choice([name for name, _ in DEVICES], count, p=[share for _, share in DEVICES])
    for number in range(count):
        keyed, told, broken = chances[number]
        user, body, sound = f"user-{who[number]}", files[which[number]], bool(broken >= bad)
        yield Visit(
            due=float(due[number]),
            user=user,
            body=body if sound else body[: len(body) // 2],
            key=f"{user}-album" if keyed < KEYED else None,
            device=str(devices[number]),
            tells=bool(told < TOLD),
            sound=sound,
        )


def drawn(count: int, seed: int) -> list[bytes]:
    """Files of `count` faces: of as many people, up to `traffic_faces.PEOPLE`; half of them mirrored."""
    rng = np.random.default_rng(seed)
    sides = rng.choice([side for side, _ in SIZES], count, p=[share for _, share in SIZES])
    formats = rng.choice([name for name, _ in FORMATS], count, p=[share for _, share in FORMATS])
    people, mirrored = rng.permutation(traffic_faces.PEOPLE), rng.uniform(size=count) < MIRRORED
    files = []
    for number in range(count):
        face = traffic_faces.faces()[people[number % len(people)]]
        picture = Image.fromarray(face[:, ::-1] if mirrored[number] else face)
        scaled = picture.resize((int(sides[number]), int(sides[number])), Image.Resampling.LANCZOS)
        files.append(encode(np.asarray(scaled), str(formats[number])))
    return files
