"""CelebA (Liu et al. 2015): a folder of pictures, and lists of their people, attributes and five points."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from identity_masker.errors import BadInputError
from identity_masker.faces.readers.files import LocalReader, check_folder, read_file, stamp, text, walk
from identity_masker.faces.readers.source import FARTHEST, FaceInput, Labels, Listed, etag_of, pack, unpack
from identity_masker.faces.readers.text_table import read_table

_ANCHORS = 10


class CelebaReader(LocalReader):
    """Every picture in `pictures`, and every one that `people` names.

    A name in the list without a picture is refused as missing, a picture that no list names has no identity.
    """

    kind: Literal["celeba"] = "celeba"
    path: Path = Field(default=Path(), description="The collection's folder; `--source` sets it.")
    pictures: str = Field(default="img_align_celeba", description="Folder of pictures in it.")
    people: str = Field(default="identity_CelebA.txt", description="Who is on each picture.")
    attributes: str | None = Field(default="list_attr_celeba.txt", description="Forty traits; null for none.")
    landmarks: str | None = Field(
        default="list_landmarks_align_celeba.txt", description="Five points in pixels of `pictures`; null for none."
    )

    def listing(self) -> Iterator[Listed]:
        check_folder(self.path, "the folder of CelebA")
        check_folder(self.path / self.pictures, "the pictures of CelebA")
        known = _Lists(self)
        found = set()
        for path in walk(self.path / self.pictures):
            name = text(path.relative_to(self.path / self.pictures).as_posix())
            found.add(name)
            yield known.listed(name, path)
        for name in sorted(known.people.keys() - found):
            yield known.listed(name, self.path / self.pictures / name)

    @contextlib.contextmanager
    def open(self, listed: Sequence[Listed], workers: int) -> Iterator[Iterator[FaceInput]]:
        yield map(_opened, listed)


def _opened(one: Listed) -> FaceInput:
    facts = unpack(one.key)
    read = partial(read_file, Path(os.fsdecode(bytes.fromhex(facts["path"]))))
    points = facts["anchors"]
    anchors = None if points is None else np.array(points, dtype=np.float32).reshape(-1, 2)
    return FaceInput(one.name, one.identity, read, Labels(anchors=anchors, attributes=facts["attributes"]))


class _Lists:
    """The lists of a collection, by the name of the picture."""

    def __init__(self, reader: CelebaReader) -> None:
        self.people = {name: fields[0] for name, fields in read_table(reader.path / reader.people, 1).rows.items()}
        self._attributes: dict[str, dict[str, bool]] = {}
        self._anchors: dict[str, list[float]] = {}
        if reader.attributes is not None:
            traits = read_table(reader.path / reader.attributes)
            self._attributes = {
                name: dict(zip(traits.columns or [], (field == "1" for field in fields), strict=True))
                for name, fields in traits.rows.items()
            }
        if reader.landmarks is not None:
            path = reader.path / reader.landmarks
            self._anchors = {name: _numbers(name, fields, path) for name, fields in read_table(path).rows.items()}

    def listed(self, name: str, path: Path) -> Listed:
        facts: dict[str, Any] = {
            "path": os.fsencode(path.absolute()).hex(),
            "anchors": self._anchors.get(name),
            "attributes": self._attributes.get(name, {}),
        }
        return Listed(name, self.people.get(name), etag_of(stamp(path), facts), pack(**facts))


def _numbers(name: str, fields: list[str], path: Path) -> list[float]:
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        numbers = []
    if len(numbers) != _ANCHORS or not (np.abs(numbers) <= FARTHEST).all():
        raise BadInputError(
            "the list of points has something else in it",
            got=f"{path.name}: {name} {' '.join(fields[:12])}",
            allowed="x and y of eyes, nose and corners of the mouth: ten numbers",
            fix="correct the line, or set reader.landmarks to null",
        )
    return numbers
