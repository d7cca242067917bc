"""The network that every server of the benchmark gets: the real architecture, with weights that nobody trained."""

from __future__ import annotations

from pathlib import Path


def untrained(folder: Path) -> Path:
    """Write the artifact into `folder`."""
    import torch

    from identity_masker.masking import artifact
    from identity_masker.masking.config import ArchitectureConfig
    from identity_masker.masking.masker import FactorBottleneckMasker
    from identity_masker.masking.networks import FactorReader

    torch.manual_seed(0)
    config = ArchitectureConfig()
    masker = FactorBottleneckMasker(config, FactorReader(config), "benchmark-secret")
    artifact.save(masker, folder)
    artifact.export(masker, folder)
    return folder
