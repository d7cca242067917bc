from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.errors import MaskerError
from identity_masker.media.crops import STEP, Square, cut, paste
from identity_masker.media.faces import Place, mask_places

squares = st.builds(Square, st.floats(-60, 260), st.floats(-60, 200), st.floats(20, 150))


class Painter:
    """Gives each key's crop one colour; fails for keys that begin with "broken", leaves those with "same"."""

    architecture, size = "painter", 64

    def __init__(self) -> None:
        self.calls: list[int] = []

    def mask(self, images: np.ndarray, keys: Sequence[str]) -> np.ndarray:
        self.calls.append(len(images))
        if any(key.startswith("broken") for key in keys):
            raise MaskerError("cannot")
        masked = np.stack([np.full_like(images[0], sum(key.encode()) % 200) for key in keys])
        same = [at for at, key in enumerate(keys) if key.startswith("same")]
        masked[same] = images[same]
        return masked


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(210, 256, (140, 200, 3), dtype=np.uint8)


@given(squares)
def test_a_crop_has_its_side_wherever_it_lies(square: Square) -> None:
    crop = cut(noise(), square)
    side = square.pixels()[2]
    assert crop.shape == (side, side, 3)
    assert side % STEP == 0


@given(squares)
def test_pasting_an_unchanged_crop_changes_nothing(square: Square) -> None:
    picture = noise()
    paste(picture, square, cut(picture, square))
    assert np.array_equal(picture, noise())


@pytest.mark.parametrize("square", [Square(0, 0, 64), Square(199, 70, 64), Square(100, 139, 64), Square(100, 70, 64)])
def test_a_face_cut_by_the_border_is_masked_as_far_as_it_is_there(square: Square) -> None:
    picture = noise()
    assert mask_places([picture], [Place(0, square, "key")], Painter()) == []
    left, top, side = square.pixels()
    inner = slice(max(0, top + 8), top + side - 8), slice(max(0, left + 8), left + side - 8)
    assert (picture[inner] < 200).all()
    outside = np.ones(picture.shape[:2], bool)
    outside[max(0, top) : top + side, max(0, left) : left + side] = False
    assert np.array_equal(picture[outside], noise()[outside])


def test_frames_go_through_the_masker_together() -> None:
    pictures = [noise() for _ in range(6)]
    painter = Painter()
    mask_places(pictures, [Place(at, Square(100, 70, 60 + at % 2), "key") for at in range(6)], painter)
    assert painter.calls == [6]


@pytest.mark.parametrize("key", ["broken", "same"])
def test_a_face_that_cannot_be_masked_is_covered_and_named_and_others_are_masked(key: str) -> None:
    pictures = [noise(), noise()]
    places = [Place(0, Square(50, 70, 64), "good"), Place(1, Square(50, 70, 64), key)]
    assert mask_places(pictures, places, Painter()) == [1]
    assert (pictures[0][50:90, 30:70] == sum(b"good") % 200).all()
    assert np.unique(pictures[1][50:90, 30:70].reshape(-1, 3), axis=0).shape[0] == 1


def test_of_two_faces_that_overlap_no_pixel_comes_back() -> None:
    picture = noise()
    mask_places([picture], [Place(0, Square(80, 70, 64), "one"), Place(0, Square(110, 70, 64), "two")], Painter())
    assert (picture[46:94, 56:134] < 200).all()
