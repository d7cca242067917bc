"""Readers of face sources. A new one is a module here and a row in `AnyReader`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from identity_masker.faces.readers.folder import FolderReader
from identity_masker.faces.readers.rendered import RenderedReader

AnyReader = Annotated[FolderReader | RenderedReader, Field(discriminator="kind")]
"""The `reader` section of a dataset's YAML; `kind` says which."""

__all__ = ["AnyReader", "FolderReader", "RenderedReader"]
