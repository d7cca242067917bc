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
    """What a model is made of, as far as its version number goes.

    architecture  the kind of masker; interface  hash of the shape of its networks and of what it takes and gives
    """

    architecture: str
    dataset: str
    interface: str = ""

    @property
    def line(self) -> tuple[str, str]:
        """Models of one line have the same major number, models of different lines never do."""
        return self.architecture, self.interface


def following(known: Sequence[tuple[Semver, Lineage]], lineage: Lineage) -> Semver:
    """The number of a new model: another architecture or interface is a new major, other data minor, the same patch.

    A model is compared with the newest of its own line, so two kinds of masker that are trained in turn do not
    raise each other's numbers.
    """
    line = [pair for pair in known if pair[1].line == lineage.line]
    if not line:
        return Semver(max((semver.major for semver, _ in known), default=0) + 1, 0, 0)
    newest, before = max(line, key=lambda pair: pair[0])
    if before.dataset != lineage.dataset:
        return Semver(newest.major, newest.minor + 1, 0)
    return Semver(newest.major, newest.minor, newest.patch + 1)
