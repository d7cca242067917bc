"""Whether a version fits the memory that a model server gets."""

from __future__ import annotations

import resource
from pathlib import Path

from identity_masker.errors import BadInputError
from identity_masker.serving.cluster import pods

MIB = 2**20


def memory_fits(config_dir: Path) -> str:
    """How much this process, which has run the version, has taken of `limits.memory` in serving.yaml.

    A model server runs the same code on no larger batches. Raises `BadInputError` when it is more than the limit.
    """
    if not (config_dir / pods.FILE).is_file():
        return f"nothing says how much a model server gets: {config_dir} has no {pods.FILE}"
    return fits(peak(), pods.read(config_dir).limits["memory"])


def peak() -> int:
    """The most bytes that this process has held in memory at a time."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


def fits(taken: int, limit: str) -> str:
    """`taken` bytes of `limit`, in words. Raises `BadInputError` when they are more."""
    if taken > pods.amount(limit):
        raise BadInputError(
            "the version needs more memory than a model server gets",
            got=f"{taken / MIB:.0f} MiB",
            allowed=f"at most {limit}, limits.memory of {pods.FILE}",
            fix="raise the limit, or release a smaller version",
        )
    return f"{taken / MIB:.0f} MiB of the {limit} that a model server gets"
