"""Faces are found where they are, drawn and photographed ones, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from identity_masker.faces import render
from identity_masker.faces.detect import Face, FaceDetector

PEOPLE = np.arange(16)
DRAWN = render.draw(123, PEOPLE, np.zeros_like(PEOPLE), 128)
DETECTOR = FaceDetector()


def scene(row: int, side: int, left: int, top: int) -> tuple[np.ndarray, np.ndarray]:
    """A wall with the drawn face `row` on it, and the face's landmarks in pixels."""
    noise = np.random.default_rng(row).normal(128, 8, (240, 360, 3))
    canvas = noise.clip(0, 255).astype(np.uint8)
    canvas[top : top + side, left : left + side] = np.asarray(Image.fromarray(DRAWN.images[row]).resize((side, side)))
    return canvas, DRAWN.landmarks[row] * side + [left, top]


def covers(face: Face, landmarks: np.ndarray) -> bool:
    x, y = landmarks.mean(axis=0)
    return face.left < x < face.right and face.top < y < face.bottom


@pytest.mark.parametrize("side", [72, 140, 200])
def test_every_drawn_face_is_found_once_and_nothing_else(side: int) -> None:
    for row in PEOPLE:
        picture, landmarks = scene(row, side, 100, 30)
        faces = DETECTOR.find(picture)
        assert len(faces) == 1
        assert covers(faces[0], landmarks)
        assert 0.25 * side < faces[0].height < 0.85 * side


def test_several_faces_in_one_picture_are_all_found() -> None:
    picture, first = scene(2, 128, 10, 60)
    second_picture, second = scene(3, 128, 210, 60)
    picture[60:188, 210:338] = second_picture[60:188, 210:338]
    faces = DETECTOR.find(picture)
    assert len(faces) == 2
    assert all(any(covers(face, landmarks) for face in faces) for landmarks in (first, second))


def test_a_photographed_face_is_found_with_its_landmarks_in_order() -> None:
    photograph = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    faces = DETECTOR.find(np.asarray(Image.open(photograph).convert("RGB")))
    assert len(faces) == 1
    eyes, nose, mouth = faces[0].landmarks[:2], faces[0].landmarks[2], faces[0].landmarks[3:]
    assert eyes[0, 0] < eyes[1, 0]
    assert eyes[:, 1].max() < nose[1] < mouth[:, 1].min()
    assert faces[0].left < nose[0] < faces[0].right


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 2000, 3), (240, 320, 3)])
def test_a_picture_without_a_face_gives_none(shape: tuple[int, int, int]) -> None:
    assert DETECTOR.find(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)) == []
