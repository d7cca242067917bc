"""Five points of a face, the set that most collections and detectors give: where a face is and where it looks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ANCHORS = ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
"""Middles of the eyes, tip of the nose, corners of the mouth; left and right as in the picture."""

FRAME = np.array([(0.405, 0.42), (0.595, 0.42), (0.5, 0.51), (0.435, 0.6), (0.565, 0.6)], dtype=np.float64)
"""Where the anchors of a frontal face lie in an aligned square: as in the renderer's pictures."""

# x right, y down, z towards the camera, in distances between the eyes. Width and height as in `FRAME`; depths are those
# of an average head (the nose stands out by 0.45, the mouth by 0.1 over the plane of the eyes).
_HEAD = np.column_stack([(FRAME - FRAME[2]) / (FRAME[1, 0] - FRAME[0, 0]), (0, 0, 0.45, 0.1, 0.1)])
_FIT = np.linalg.pinv(_HEAD - _HEAD.mean(axis=0))


class Pose(NamedTuple):
    """Degrees, each (N,); `yaw` to the right of the picture, `pitch` down and `roll` clockwise are positive."""

    yaw: NDArray[np.float32]
    pitch: NDArray[np.float32]
    roll: NDArray[np.float32]


def of_landmarks(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Anchors (…, 5, 2) of landmarks (…, 10, 2) in the order of `face_set.LANDMARKS`."""
    eyes = (landmarks[..., 0:3:2, :] + landmarks[..., 1:4:2, :]) / 2
    return np.concatenate([eyes, landmarks[..., 6:9, :]], axis=-2).astype(np.float32)


def eye_distance(anchors: NDArray[np.float32], sides: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance between the eyes in pixels, (N,), of anchors (N, 5, 2) in squares of `sides` (N,) pixels.

    It is the size of a face by ISO/IEC 29794-5.
    """
    distance: NDArray[np.float32] = np.linalg.norm(anchors[:, 1] - anchors[:, 0], axis=1) * sides
    return distance.astype(np.float32)


def pose(anchors: NDArray[np.float32]) -> Pose:
    """The angles of faces with `anchors` (N, 5, 2), NaN where an anchor is.

    An average head is laid under the five points by scaled orthography, the first step of POSIT (DeMenthon and
    Davis 1995), for all faces in one product.
    """
    centred = anchors - anchors.mean(axis=1, keepdims=True)
    right, down = np.einsum("ij,njk->kni", _FIT, centred.astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        across = right / np.linalg.norm(right, axis=1, keepdims=True)
        along = down / np.linalg.norm(down, axis=1, keepdims=True)
        out = np.cross(across, along)
        angles = (
            np.arctan2(across[:, 2], np.hypot(across[:, 0], across[:, 1])),
            np.arctan2(along[:, 2], out[:, 2]),
            np.arctan2(along[:, 0], along[:, 1]),
        )
    return Pose(*(np.degrees(angle).astype(np.float32) for angle in angles))


def similarity(anchors: NDArray[np.float64], frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (2, 3) turn, scale and shift that takes points `frame` (5, 2) closest to `anchors` (5, 2) (Umeyama 1991)."""
    middle, target = frame.mean(axis=0), anchors.mean(axis=0)
    a, b = frame - middle, anchors - target
    spread = (a**2).sum()
    cos, sin = (a * b).sum() / spread, (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / spread
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, target - turn @ middle])
