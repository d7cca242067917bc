"""The judge of usefulness: it reads factors and landmarks, was trained on clear photographs, and knows no masker.

It looks four times: at the whole picture for where the face is, at the upright face for its landmarks, at the eyes
and at the mouth. A linear map of all that it read gives the factors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from identity_masker.faces.face_set import FACTORS, LANDMARKS, FaceSet
from identity_masker.masking.alignment import Frames, Images, Points, Window, resized
from identity_masker.masking.device import CPU, device_of
from identity_masker.masking.encoder import to_tensor, trunk
from identity_masker.masking.evaluation_config import JudgeConfig
from identity_masker.masking.fitting import fit, initialised, moved, offsets, shuffled

Floats = NDArray[np.float32]

WHOLE = Window(0.5, 0.5, 0.5, 32)
"""As a window of the picture itself."""
FACE = Window(0.5, 0.55, 0.55, 48)
EYES = Window(0.5, 0.38, 0.27, 32)
MOUTH = Window(0.5, 0.70, 0.22, 32)
EYE_FACTORS = ("gaze_x", "gaze_y", "blink", "brow")
MOUTH_FACTORS = ("mouth_open", "smile")

MIRRORED_FACTORS = ("yaw", "roll", "shift_x", "gaze_x", "light_azimuth")
MIRRORED_LANDMARKS = [3, 2, 1, 0, 5, 4, 6, 8, 7, 9]
"""Which landmark takes each one's place in a mirror."""

BATCH = 256
LANDMARK_WEIGHT = 20.0
"""Brings the loss on landmarks (fractions of the picture) to the size of the loss on factors."""
RIDGE = 1e-2


@dataclass(frozen=True)
class Labels:
    """What is known of the pictures: factors (N, 16) and landmarks (N, 10, 2)."""

    factors: Floats
    landmarks: Points

    @staticmethod
    def of(faces: FaceSet) -> Labels | None:
        """The labels of `faces`, or None where a picture lacks some."""
        if faces.factors is None or faces.landmarks is None:
            return None
        if not (np.isfinite(faces.factors).all() and np.isfinite(faces.landmarks).all()):
            return None
        return Labels(faces.factors, faces.landmarks)


class Look(nn.Module):
    """Pictures (N, 3, size, size) to the factors at `columns` (N, C) and landmarks (N, 10, 2)."""

    def __init__(self, config: JudgeConfig, size: int, columns: list[int]) -> None:
        super().__init__()
        self.columns = columns
        self.trunk, length = trunk(config.widths, size)
        self.read = nn.Sequential(nn.Linear(length, 128), nn.PReLU(128), nn.Linear(128, len(columns) + 2 * LANDMARKS))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        answers = self.read(self.trunk(pictures))
        told, found = answers[:, : len(self.columns)], answers[:, len(self.columns) :]
        return told, found.reshape(-1, LANDMARKS, 2) * 0.1 + 0.5


@dataclass(frozen=True)
class Finder:
    """The first two looks: where the face is, and where its landmarks are."""

    whole: Look
    face: Look


@dataclass(frozen=True)
class Judge:
    """Four looks and the linear map (features + 1, 16) from all that they read to factors."""

    finder: Finder
    eyes: Look
    mouth: Look
    combine: NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """What a judge reads: factors (N, 16) and landmarks (N, 10, 2)."""

    factors: Floats
    landmarks: Points


def train_finder(images: Images, labels: Labels, config: JudgeConfig, seed: int, device: torch.device = CPU) -> Finder:
    """A finder trained on labelled clear photographs (N, S, S, 3)."""
    every = list(range(len(FACTORS)))
    small = resized(images, WHOLE.size)
    whole = _train_look(small, labels, every, config, seed, device)
    frames = Frames.of(_see(whole, small)[1])
    face = _train_look(frames.crop(images, FACE), _inside(labels, frames, FACE), every, config, seed + 1, device)
    return Finder(whole, face)


def train_judge(finder: Finder, images: Images, labels: Labels, config: JudgeConfig, seed: int) -> Judge:
    """A judge that looks where `finder` tells, trained on the photographs that `finder` was trained on."""
    frames = Frames.of(find_landmarks(finder, images))
    eyes, mouth = (
        _train_look(
            frames.crop(images, window), _inside(labels, frames, window), [FACTORS.index(name) for name in names],
            config, seed + 2, device_of(finder.whole),
        )
        for window, names in ((EYES, EYE_FACTORS), (MOUTH, MOUTH_FACTORS))
    )  # fmt: skip
    unmapped = Judge(finder, eyes, mouth, np.empty((0, 0)))
    return replace(unmapped, combine=_ridge(_features(unmapped, images)[0], labels.factors))


def read(judge: Judge, images: Images) -> Reading:
    """Factors and landmarks of images (N, S, S, 3) as the judge sees them."""
    features, landmarks = _features(judge, images)
    return Reading((_with_one(features) @ judge.combine).astype(np.float32), landmarks)


def find_landmarks(finder: Finder, images: Images) -> Points:
    """Landmarks (N, 10, 2) of images (N, S, S, 3) as the finder sees them."""
    frames = Frames.of(_see(finder.whole, resized(images, WHOLE.size))[1])
    return frames.out_of(_see(finder.face, frames.crop(images, FACE))[1], FACE)


def _train_look(
    images: Images, labels: Labels, columns: list[int], config: JudgeConfig, seed: int, device: torch.device
) -> Look:
    """One network, trained on shifted, mirrored and brightened or darkened pictures."""
    size = images.shape[1]
    random = np.random.default_rng(seed)
    look = initialised(seed, lambda: Look(config, size, columns))
    look.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    factors, landmarks = torch.from_numpy(labels.factors[:, columns]), torch.from_numpy(labels.landmarks)
    signs = torch.tensor([-1.0 if FACTORS[column] in MIRRORED_FACTORS else 1.0 for column in columns])

    def loss(rows: NDArray[np.int64]) -> Tensor:
        shifts = offsets(len(rows), random)
        points = landmarks[rows] + torch.from_numpy(shifts[:, None, ::-1] / np.float32(size))
        flip = torch.from_numpy(random.random(len(rows)) < 0.5)
        pictures = to_tensor(moved(images[rows], shifts), device)
        pictures = torch.where(flip.to(device)[:, None, None, None], pictures.flip(3), pictures)
        mirrored = points[:, MIRRORED_LANDMARKS] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
        told, found = look(_relit(pictures, random))
        right = torch.where(flip[:, None], factors[rows] * signs, factors[rows])
        places = torch.where(flip[:, None, None], mirrored, points)
        on_landmarks = functional.smooth_l1_loss(found, places.to(device), beta=0.02)
        return functional.smooth_l1_loss(told, right.to(device), beta=0.2) + LANDMARK_WEIGHT * on_landmarks

    batches = shuffled(len(images), config.batch, random)
    fit(look, loss, batches, steps=config.steps, learning_rate=config.learning_rate)
    return look


def _relit(pictures: Tensor, random: np.random.Generator) -> Tensor:
    contrast, brightness = random.uniform(-0.15, 0.15, (2, len(pictures), 1, 1, 1)).astype(np.float32)
    device = pictures.device
    return pictures * torch.from_numpy(1 + contrast).to(device) + torch.from_numpy(brightness).to(device)


@torch.inference_mode()
def _see(look: Look, images: Images) -> tuple[Floats, Points]:
    look.eval()
    device = device_of(look)
    parts = [look(to_tensor(images[start : start + BATCH], device)) for start in range(0, len(images), BATCH)]
    told, found = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    return told, found


def _features(judge: Judge, images: Images) -> tuple[NDArray[np.float64], Points]:
    """All that the looks read, one row a picture, and the landmarks."""
    roughly, found = _see(judge.finder.whole, resized(images, WHOLE.size))
    frames = Frames.of(found)
    closely, points = _see(judge.finder.face, frames.crop(images, FACE))
    landmarks = frames.out_of(points, FACE)
    frames = Frames.of(landmarks)
    eyes, _ = _see(judge.eyes, frames.crop(images, EYES))
    mouth, _ = _see(judge.mouth, frames.crop(images, MOUTH))
    place = [np.log(np.abs(frames.turn)), np.angle(frames.turn), frames.origin.real, frames.origin.imag]
    shape = frames.into(landmarks, WHOLE).reshape(len(images), -1)
    return np.hstack([roughly, closely, eyes, mouth, np.stack(place, axis=1), shape]), landmarks


def _ridge(features: NDArray[np.float64], factors: Floats) -> NDArray[np.float64]:
    """Linear map of `features`, with a constant, to `factors`; shrunk relative to the spread of each feature."""
    rows = _with_one(features)
    penalty = np.append(RIDGE * len(rows) * (features.var(axis=0) + 1e-9), 0.0)
    return np.asarray(np.linalg.solve(rows.T @ rows + np.diag(penalty), rows.T @ factors), np.float64)


def _with_one(features: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hstack([features, np.ones((len(features), 1))])


def _inside(labels: Labels, frames: Frames, window: Window) -> Labels:
    return Labels(labels.factors, frames.into(labels.landmarks, window))
