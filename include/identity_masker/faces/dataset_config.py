"""The configuration of a dataset: one YAML file in `include/config/datasets/`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from identity_masker.documents import load_yaml
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.decode import Limits
from identity_masker.faces.readers import AnyReader, FolderReader, ManifestReader, RenderedReader, reader_of
from identity_masker.faces.rules import Rule
from identity_masker.faces.splits import SplitConfig

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class DatasetConfig(BaseModel):
    """What to read, how to normalise it, how to split it, and what it must satisfy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        pattern=f"^{NAME.pattern}$", description="Name in the store; versions are numbered for each name."
    )
    description: str = ""
    reader: AnyReader
    size: int = Field(default=64, ge=16, le=1024, description="Side in pixels of the stored squares.")
    crop: Literal["centre", "anchors"] = Field(
        default="centre", description="Take the middle of a picture, or align the face where its anchors are known."
    )
    limits: Limits = Limits()
    refuse_wrong_extension: bool = Field(default=True, description="Quarantine a PNG that is named .jpg.")
    shard_images: int = Field(default=512, ge=1, le=65536)
    splits: SplitConfig = SplitConfig()
    rules: dict[str, Rule] = Field(default_factory=dict, description="Checked by `masker data validate`.")
    consent: str | None = Field(
        default=None, description="Table of who agreed: CSV or Parquet with identity, given_on and withdrawn_on."
    )
    rules_from: str | None = Field(default=None, description="Configuration whose rules apply, if not that of `name`.")

    def named(self, name: str) -> Self:
        """This configuration for a dataset of another name, under the same rules."""
        if not NAME.fullmatch(name):
            raise BadInputError(
                "this is not a dataset name", got=repr(name), allowed="small letters, digits and hyphens, at most 63"
            )
        return self.model_copy(update={"name": name, "rules_from": self.rules_from or self.name})

    def reading(self, *, source: Path | str | None, images: int | None) -> Self:
        """This configuration with another source, or with fewer images, as the command line asks.

        A configuration for folders reads archives, manifests and videos too, by the ending of the source.
        """
        reader: AnyReader = self.reader
        if source is not None:
            if isinstance(reader, RenderedReader):
                raise BadInputError(
                    "this dataset does not read a source",
                    got=f"--source with the configuration {self.name}, whose reader is {reader.kind}",
                    fix="leave --config away, or name one whose reader is not the renderer",
                )
            other = reader_of(str(source)) if isinstance(reader, FolderReader) else reader
            path: Path | str = str(source) if isinstance(other, ManifestReader) else Path(source)
            kept = (
                {"identity": reader.identity} if isinstance(reader, FolderReader) and hasattr(other, "identity") else {}
            )
            reader = other.model_copy(update={"path": path, **kept})
        if images is not None:
            reader = reader.limited(images)
        return self.model_copy(update={"reader": reader})


def load_config(name: str, folder: Path) -> DatasetConfig:
    """The configuration `NAME.yaml` of `folder`.

    Raises `NotFoundError` with the names there are, `BadInputError` with every field that does not validate.
    """
    path = folder / "datasets" / f"{name}.yaml"
    if not NAME.fullmatch(name) or not path.is_file():
        known = sorted(entry.stem for entry in path.parent.glob("*.yaml"))
        raise NotFoundError(
            "there is no such dataset configuration", got=name, allowed=f"one of {known}", fix=f"add {path.name} there"
        )
    return load_yaml(DatasetConfig, path, "dataset configuration")
