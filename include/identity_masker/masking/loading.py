"""The masker that answers: its graphs where it has them, its network where it has none or a GPU computes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from identity_masker.masking import graph_files
from identity_masker.settings import settings

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

GPU_DRIVER = Path("/dev/nvidiactl")
"""Without it torch, whose import takes seconds, need not be asked for a GPU."""


def load(folder: Path, threads: int = 1) -> Masker:
    """The masker in `folder`, for this machine's processor.

    Graphs compute on one thread; for more the network is taken, by torch. Raises as `graph_files.read` and
    `artifact.load` do.
    """
    graphs = graph_files.folder_of(folder)
    if graphs is not None and threads == 1:
        from identity_masker.masking.graph_masker import GraphMasker

        return GraphMasker(graphs, settings().mask_key.get_secret_value())
    from identity_masker.masking import artifact

    return artifact.load(folder)


def load_for_many(folder: Path) -> Masker:
    """The masker in `folder` for a job over many pictures: on the GPU where there is one, else as `load`.

    A GPU computes in bf16: its pictures are not equal to the bit to those of a processor. Raises as `load` does.
    """
    if GPU_DRIVER.exists():
        from identity_masker.masking import artifact
        from identity_masker.masking.device import choose

        device = choose("auto")
        if device.type == "cuda":
            return artifact.load(folder, device=device)
    return load(folder)
