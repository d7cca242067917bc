"""What a masker is, and the one of this project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from identity_masker.faces.render.drawing import to_bytes
from identity_masker.masking.avatars import AvatarBook
from identity_masker.masking.bottleneck import near_edge, quantise
from identity_masker.masking.config import ArchitectureConfig, PixelationConfig
from identity_masker.masking.device import Precision, halved, precision
from identity_masker.masking.networks import FactorReader
from identity_masker.masking.pictures import check_finite, check_images, margins
from identity_masker.masking.redrawing import mask_pictures

BATCH = 64
Program = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Masker(Protocol):
    """Takes face crops and gives back faces of nobody, with the same pose, expression, gaze and light."""

    @property
    def architecture(self) -> str: ...

    @property
    def size(self) -> int: ...

    def mask(self, images: NDArray[np.uint8], keys: Sequence[str]) -> NDArray[np.uint8]:
        """Masked copies of `images` (N, H, W, 3); equal keys get the same fictitious face.

        Raises `BadInputError` or `MaskerError` where it cannot mask; it never returns its input.
        """
        ...


class StorableMasker(Masker, Protocol):
    """A masker that `masking.artifact` can write: what it is, beside what it does."""

    @property
    def config(self) -> ArchitectureConfig | PixelationConfig: ...


class FactorBottleneckMasker:
    """Reads the factors of a face with a network and draws a fictitious person with them.

    It computes where the network is. On a GPU the network runs in bf16; `compile` makes one program of all of it.
    """

    architecture = "factor-bottleneck"

    def __init__(self, config: ArchitectureConfig, network: FactorReader, secret: str) -> None:
        self.config = config
        self.size = config.size
        self.network = network.eval().requires_grad_(False)
        self.device = next(network.parameters()).device
        self.precision: Precision = "bf16" if self.device.type == "cuda" else "fp32"
        self._avatars = AvatarBook(config.avatar_seed, config.avatars, secret)
        self.batch = BATCH
        self._program: Program = self._drawn

    def compile(self, mode: str | None = None) -> None:
        """Compile for every size of batch and picture that comes: seconds once, then a tenth of the time on a GPU.

        `mode` is torch.compile's; `reduce-overhead` replays a CUDA graph, which pays for single pictures.
        """
        self._program = torch.compile(self._drawn, dynamic=False, mode=mode)

    def mask(self, images: NDArray[np.uint8], keys: Sequence[str]) -> NDArray[np.uint8]:
        check_images(images, keys)
        parts, at = [], 0
        while at < len(images):
            rows = slice(at, at + self.batch)
            try:
                parts.append(self._mask(torch.from_numpy(np.array(images[rows])), list(keys[rows])))
            except torch.OutOfMemoryError as error:
                self.batch = halved(min(self.batch, len(images)), "pictures", error)
                continue
            at += self.batch
        return torch.cat(parts).numpy()

    @torch.inference_mode()
    def read(self, pictures: Tensor) -> Tensor:
        """The code (N, 16) of square `pictures` (N, 3, S, S) in [0, 1]."""
        code, finite = self._read(pictures)
        check_finite(bool(finite))
        return code

    def pictures(self, images: NDArray[np.uint8]) -> Tensor:
        """Images (N, H, W, 3) as pictures (N, 3, H, W) in [0, 1] on the masker's device."""
        return _pictures(torch.from_numpy(np.ascontiguousarray(images)).to(self.device))

    @torch.inference_mode()
    def _mask(self, images: Tensor, keys: list[str]) -> Tensor:
        masked, finite = self._program(images.to(self.device), self._avatars.numbers(keys).to(self.device))
        check_finite(bool(finite))
        return masked.cpu()

    def _drawn(self, images: Tensor, avatars: Tensor) -> tuple[Tensor, Tensor]:
        """Masked images (N, H, W, 3), and whether all factors were numbers: no step of it looks at a value."""
        height, width = images.shape[1:3]
        left, right, top, bottom = margins(height, width)
        square = functional.pad(_pictures(images), (left, right, top, bottom), mode="replicate")
        code, finite = self._read(square)
        masked = mask_pictures(square, code, avatars)
        return to_bytes(masked[:, :, top : top + height, left : left + width]), finite

    def _read(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        if pictures.shape[-1] != self.size:
            pictures = functional.interpolate(pictures, size=(self.size, self.size), mode="bilinear", antialias=True)
        factors = self._factors(pictures)
        return quantise(self._steady(pictures, factors), self.config.bits), torch.isfinite(factors).all()

    def _steady(self, pictures: Tensor, factors: Tensor) -> Tensor:
        """`factors` that round as they do when each picture is read alone: what a batch gives is the same to the bit.

        On a processor, where pictures are served, and not in a compiled program, whose steps look at no value.
        """
        if len(pictures) == 1 or self.device.type != "cpu" or torch.compiler.is_compiling():
            return factors
        for row in near_edge(factors, self.config.bits).nonzero().flatten().tolist():
            factors[row] = self._factors(pictures[row : row + 1])[0]
        return factors

    def _factors(self, pictures: Tensor) -> Tensor:
        with precision(self.device, self.precision):
            factors: Tensor = self.network(pictures * 2 - 1).factors
        return factors


def _pictures(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).to(torch.float32).contiguous() / 255
