"""Reading what a plan names: a picture's bytes, a video's file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from identity_masker import artifacts
from identity_masker.media import archive
from identity_masker.media.plan import LIMITS, Chunk, Plan, local


@contextmanager
def video_file(plan: Plan, chunk: Chunk) -> Iterator[Path]:
    """The video of a chunk, on this machine."""
    assert chunk.video is not None  # noqa: S101 - asked for chunks of videos only
    with local(plan.uri_of(plan.videos[chunk.video].name)) as path:
        yield path


@contextmanager
def picture_reader(plan: Plan) -> Iterator[Callable[[str], bytes]]:
    """A function that gives the bytes of a picture of the source; of one that is too large, enough to be refused."""
    if plan.kind != "archive":
        yield lambda name: artifacts.read_bytes(plan.uri_of(name))
        return
    with local(plan.options.source) as path, archive.opened(path) as opened:
        yield lambda name: opened.read(name, LIMITS.max_bytes + 1)
