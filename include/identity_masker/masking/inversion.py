"""The inverter: a network that learns to undo a masking, so that who knows clear faces only can look at the result.

It sees masked and clear photographs of people it knows in pairs, and is then given masked ones of people it does not
(the de-anonymisation attack of Todt, Hanisch, Strufe: Fantomas, 2210.10651).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from identity_masker.masking.device import device_of
from identity_masker.masking.encoder import Encoder, to_tensor
from identity_masker.masking.evaluation_config import InversionConfig
from identity_masker.masking.fitting import fit, initialised, shuffled

Images = NDArray[np.uint8]
BATCH = 256


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.PReLU(outputs),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.PReLU(outputs),
    )  # fmt: skip


class Inverter(nn.Module):
    """A U-Net (Ronneberger et al., 2015) from masked to clear crops, (N, 3, S, S) in [-1, 1]; S a multiple of 8."""

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, third = widths
        self.enter = nn.Sequential(nn.PixelUnshuffle(2), _block(12, first))
        self.down = nn.Sequential(nn.MaxPool2d(2), _block(first, second))
        self.deep = nn.Sequential(nn.MaxPool2d(2), _block(second, third))
        self.up = _block(third + second, second)
        self.leave = nn.Sequential(_block(second + first, first), nn.Conv2d(first, 12, 1), nn.PixelShuffle(2))

    def forward(self, masked: Tensor) -> Tensor:
        fine = self.enter(masked)
        middle = self.down(fine)
        rough = functional.interpolate(self.deep(middle), scale_factor=2.0)
        joined = functional.interpolate(self.up(torch.cat([rough, middle], dim=1)), scale_factor=2.0)
        clear: Tensor = torch.tanh(self.leave(torch.cat([joined, fine], dim=1)))
        return clear


def train_inverter(views: Images, clear: Images, encoder: Encoder, config: InversionConfig, seed: int) -> Inverter:
    """An inverter of `views` (V, N, S, S, 3), maskings of the crops `clear` (N, S, S, 3).

    It is to come near the pixels and near what `encoder`, which knows clear faces, sees in them.
    """
    random = np.random.default_rng(seed)
    device = device_of(encoder)
    inverter = initialised(seed, lambda: Inverter(config.widths))
    inverter.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    encoder.eval().requires_grad_(False)
    batches = shuffled(len(clear), config.batch, random)

    def loss(rows: NDArray[np.int64]) -> Tensor:
        masked = to_tensor(views[random.integers(0, len(views), len(rows)), rows], device)
        wanted = to_tensor(clear[rows], device)
        found = inverter(masked)
        person = 1.0 - functional.cosine_similarity(encoder(found), encoder(wanted)).mean()
        return functional.l1_loss(found, wanted) + config.identity_weight * person

    fit(inverter, loss, batches, steps=config.steps, learning_rate=config.learning_rate)
    encoder.requires_grad_(True)
    return inverter


@torch.inference_mode()
def invert(inverter: Inverter, masked: Images) -> Images:
    """What the inverter makes of crops (N, S, S, 3)."""
    inverter.eval()
    device, parts = device_of(inverter), []
    for start in range(0, len(masked), BATCH):
        found = inverter(to_tensor(masked[start : start + BATCH], device))
        parts.append(found.add(1.0).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu())
    return torch.cat(parts).contiguous().numpy()
