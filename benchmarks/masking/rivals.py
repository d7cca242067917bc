"""What else is done to faces: pixelation, blur, k-same, and the U-Net that is trained against a frozen network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from identity_masker.faces.face_set import FaceSet
from identity_masker.masking.alignment import resized
from identity_masker.masking.attackers import KnownPeople, train_clear
from identity_masker.masking.encoder import Encoder, to_tensor
from identity_masker.masking.evaluation_config import EncoderConfig
from identity_masker.masking.fitting import fit, initialised, shuffled
from identity_masker.masking.inversion import Inverter, invert
from identity_masker.masking.networks import FactorReader

Images = NDArray[np.uint8]


class Blur:
    """A Gaussian of `spread` pixels."""

    architecture = "blur"
    size = 64

    def __init__(self, spread: float) -> None:
        self.spread = spread

    def mask(self, images: Images, keys: Sequence[str]) -> Images:
        blurred = gaussian_filter(images.astype(np.float32), (0, self.spread, self.spread, 0), mode="nearest")
        return np.rint(blurred).astype(np.uint8)


class KSame:
    """The mean of a picture and of the k - 1 of `others` nearest to it (Newton, Sweeney, Malin, TKDE 2005)."""

    architecture = "k-same"
    size = 64

    def __init__(self, others: Images, k: int) -> None:
        self.others, self.k = others, k
        self._small = resized(others, 16).reshape(len(others), -1).astype(np.float32)

    def mask(self, images: Images, keys: Sequence[str]) -> Images:
        small = resized(images, 16).reshape(len(images), -1).astype(np.float32)
        apart = (small**2).sum(1)[:, None] - 2 * small @ self._small.T + (self._small**2).sum(1)
        nearest = np.argpartition(apart, self.k, axis=1)[:, : self.k - 1]
        total = images.astype(np.float32) + self.others[nearest].astype(np.float32).sum(axis=1)
        return np.rint(total / self.k).astype(np.uint8)


class CosineUNet:
    """A U-Net with skips that a frozen encoder does not recognise people behind: the usual loss of the field."""

    architecture = "identity-cosine U-Net"
    size = 64

    def __init__(self, network: Inverter) -> None:
        self.network = network

    def mask(self, images: Images, keys: Sequence[str]) -> Images:
        return invert(self.network, images)


def train_unet(faces: FaceSet, reader: FactorReader, device: torch.device, *, steps: int, seed: int = 5) -> CosineUNet:
    """Hinge on the cosine of before and after, likeness of pixels, and the factors that `reader` reads kept."""
    config = EncoderConfig(steps=steps)
    small = resized(faces.images, config.size)
    encoder = train_clear(KnownPeople.of(small, faces.identities), config, seed, device).encoder
    encoder.eval().requires_grad_(False)
    reader = reader.to(device).eval().requires_grad_(False)
    network = initialised(seed, lambda: Inverter((24, 48, 96))).to(device)
    random = np.random.default_rng(seed)

    def loss(rows: NDArray[np.int64]) -> Tensor:
        clear = to_tensor(faces.images[rows], device)
        masked = network(clear)
        alike = functional.cosine_similarity(_seen(encoder, masked, config.size), _seen(encoder, clear, config.size))
        kept = functional.huber_loss(reader(masked).factors, reader(clear).factors, delta=0.2)
        return alike.relu().mean() + functional.l1_loss(masked, clear) + kept

    fit(network, loss, shuffled(len(faces), 48, random), steps=steps, learning_rate=2e-3)
    return CosineUNet(network)


def _seen(encoder: Encoder, pictures: Tensor, size: int) -> Tensor:
    return encoder(functional.interpolate(pictures, size=(size, size), mode="area"))
