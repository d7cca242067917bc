"""Readers of face sources. A new one is a module here and a row in `AnyReader`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from identity_masker.errors import BadInputError
from identity_masker.faces.readers import archive, manifest, video
from identity_masker.faces.readers.archive import ArchiveReader
from identity_masker.faces.readers.celeba import CelebaReader
from identity_masker.faces.readers.folder import FolderReader
from identity_masker.faces.readers.lfw import LfwReader
from identity_masker.faces.readers.manifest import ManifestReader
from identity_masker.faces.readers.rendered import RenderedReader
from identity_masker.faces.readers.video import VideoReader

AnyReader = Annotated[
    FolderReader | RenderedReader | LfwReader | CelebaReader | ArchiveReader | ManifestReader | VideoReader,
    Field(discriminator="kind"),
]
"""The `reader` section of a dataset's YAML; `kind` says which."""


def reader_of(source: str) -> ArchiveReader | FolderReader | ManifestReader | VideoReader:
    """The reader for a source of which only the path or URI is known: by its ending, else as a folder."""
    lower = source.lower()
    if lower.endswith(archive.ENDINGS):
        return ArchiveReader(path=Path(source))
    if lower.endswith(manifest.ENDINGS):
        return ManifestReader(path=source)
    if lower.endswith(video.ENDINGS):
        return VideoReader(path=Path(source))
    if "://" in source:
        raise BadInputError(
            "this cannot be read as a source of faces",
            got=source,
            allowed=f"a URI that ends in {' or '.join(manifest.ENDINGS)}",
            fix="list the pictures in a manifest",
        )
    return FolderReader(path=Path(source))


__all__ = [
    "AnyReader", "ArchiveReader", "CelebaReader", "FolderReader", "LfwReader", "ManifestReader", "RenderedReader",
    "VideoReader", "reader_of",
]  # fmt: skip
