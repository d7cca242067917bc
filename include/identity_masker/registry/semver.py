"""Semantic versions of models: what changed says which number rises."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from identity_masker.errors import BadInputError

PATTERN = re.compile(r"(\d+)\.(\d+)\.(\d+)")


class Semver(NamedTuple):
    """`major.minor.patch`."""

    major: int
    minor: int
    patch: int

    @staticmethod
    def parse(text: str) -> Semver:
        """Raises `BadInputError` for anything but three numbers."""
        match = PATTERN.fullmatch(text)
        if match is None:
            raise BadInputError("this is not a semantic version", got=text, allowed="MAJOR.MINOR.PATCH such as 1.2.0")
        return Semver(*(int(part) for part in match.groups()))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True)
class Lineage:
    """What a model is made of, as far as its version number goes."""

    architecture: str
    dataset: str


def following(known: Sequence[tuple[Semver, Lineage]], lineage: Lineage) -> Semver:
    """The number of a new model: another architecture raises major, other data minor, the same data patch."""
    if not known:
        return Semver(1, 0, 0)
    newest, before = max(known, key=lambda pair: pair[0])
    if before.architecture != lineage.architecture:
        return Semver(newest.major + 1, 0, 0)
    if before.dataset != lineage.dataset:
        return Semver(newest.major, newest.minor + 1, 0)
    return Semver(newest.major, newest.minor, newest.patch + 1)
