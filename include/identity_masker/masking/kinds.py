"""The kinds of masker that can be stored and served: one row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from identity_masker.masking.config import ArchitectureConfig
from identity_masker.masking.masker import FactorBottleneckMasker, StorableMasker
from identity_masker.masking.networks import FactorReader
from identity_masker.masking.pixelation import PixelationMasker

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Kind:
    """How a kind of masker becomes files and comes back from them.

    weights  what a masker has learnt, by name; may be empty
    build    the masker of (config, weights, secret, device); raises RuntimeError where the weights do not fit
    export   writes the graphs of a masker that is on the processor into a folder; nothing for a kind without any
    """

    weights: Callable[[Any], Weights]
    build: Callable[[Any, Weights, str, torch.device], StorableMasker]
    export: Callable[[Any, Path], None] = lambda _masker, _folder: None


def _build_bottleneck(
    config: ArchitectureConfig, weights: Weights, secret: str, device: torch.device
) -> FactorBottleneckMasker:
    network = FactorReader(config)
    network.load_state_dict(weights)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return FactorBottleneckMasker(config, network, secret)


def _export_bottleneck(masker: FactorBottleneckMasker, folder: Path) -> None:
    from identity_masker.masking import graph_export  # brings torch's exporters, which only a training needs

    graph_export.export(masker, folder)


KINDS: Mapping[str, Kind] = {
    FactorBottleneckMasker.architecture: Kind(
        lambda masker: dict(masker.network.state_dict()), _build_bottleneck, _export_bottleneck
    ),
    PixelationMasker.architecture: Kind(
        lambda _masker: {}, lambda config, _weights, _secret, _device: PixelationMasker(config)
    ),
}
