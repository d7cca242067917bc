"""Which people train, validate, attack and test: by person, so that nobody is on two sides.

A person's place follows from a hash of the identity alone, so it does not move when data are added. Where
a small dataset leaves a split without people, people are moved into it. Places are recorded with the version,
and a later version never moves a person whom an earlier one placed.

With `stratify` the people of each stratum (those with the same labels) are dealt apart, so that every split has its
share of each: who is new goes where the stratum lacks most, in the order of the hash. Then all places are recorded.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

SPLITS = ("train", "validation", "attacker", "test")
FEWEST = {"train": 2, "test": 2, "attacker": 2, "validation": 1}
"""People a split needs before anything can be learnt or measured on it, the most needed split first."""

_HASH_RANGE = 2**64
_SMALL = 1000


class SplitConfig(BaseModel):
    """Shares of the people. Another `salt` deals the people anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    salt: str = "identity-masker"
    train: float = Field(default=0.40, gt=0, lt=1)
    validation: float = Field(default=0.04, gt=0, lt=1)
    attacker: float = Field(default=0.40, gt=0, lt=1)
    test: float = Field(default=0.16, gt=0, lt=1)
    stratify: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_ -]{1,64}$")], ...] = Field(
        default=(), description="Labels of which each split is to have its share: factors, or attributes of the source."
    )

    @model_validator(mode="after")
    def _shares_make_one(self) -> Self:
        if abs(total := sum(self.shares().values()) - 1) > 1e-6:
            raise ValueError(f"the shares of the splits must add up to 1, they add up to {total + 1:g}")
        return self

    def shares(self) -> dict[str, float]:
        return {"train": self.train, "validation": self.validation, "attacker": self.attacker, "test": self.test}


class Dealt(NamedTuple):
    """identity → split, and the part of it that later versions need to know in order to keep it."""

    splits: dict[str, str]
    placed: dict[str, str]


def natural(identity: str, config: SplitConfig) -> str:
    """The split of `identity` by its hash alone."""
    point, reached = _point(identity, config.salt), 0.0
    for name, share in config.shares().items():
        reached += share
        if point < reached:
            return name
    return SPLITS[-1]


def deal(
    identities: Iterable[str],
    config: SplitConfig,
    placed_before: Mapping[str, str],
    strata: Mapping[str, str] | None = None,
) -> Dealt:
    """A split for each of `identities`. `strata` names the stratum of each, when the people are stratified.

    With 7 people or more that no version has placed before, every split has its `FEWEST`.
    """
    people = sorted(set(identities))
    if strata is None:
        splits = {person: placed_before.get(person) or natural(person, config) for person in people}
    else:
        splits = _stratified(people, config, placed_before, strata)
    movable = {person for person in people if person not in placed_before}
    for round_of in (1, 2):
        fewest = {name: min(round_of, wanted) for name, wanted in FEWEST.items()}
        for name in fewest:
            _fill(name, splits, fewest, movable, config)
    # In a large crowd nobody needs to be moved, so the hash alone tells.
    told = strata is None and len(people) > _SMALL
    placed = {p: split for p, split in splits.items() if not told or split != natural(p, config)}
    return Dealt(splits, placed)


def _stratified(
    people: list[str], config: SplitConfig, placed_before: Mapping[str, str], strata: Mapping[str, str]
) -> dict[str, str]:
    """In each stratum whoever is new, in the order of the hash, goes to the split that is furthest below its share."""
    shares = config.shares()
    splits = {person: placed_before[person] for person in people if person in placed_before}
    sizes = {stratum: Counter[str]() for stratum in strata.values()}
    for person, split in splits.items():
        sizes[strata[person]][split] += 1
    for person in sorted((p for p in people if p not in splits), key=lambda p: _point(p, config.salt)):
        has = sizes[strata[person]]
        count = has.total() + 1
        lacks = {name: share * count - has[name] for name, share in shares.items()}
        splits[person] = max(lacks, key=lacks.__getitem__)
        has[splits[person]] += 1
    return splits


def _fill(name: str, splits: dict[str, str], fewest: Mapping[str, int], movable: set[str], config: SplitConfig) -> None:
    """Move people into `name` until it has its fewest, from splits that have more than theirs."""
    shares = config.shares()
    while (sizes := Counter(splits.values()))[name] < fewest[name]:
        givers = {splits[person] for person in movable if sizes[splits[person]] > fewest[splits[person]]}
        if not givers:
            return
        fullest = max(sorted(givers), key=lambda giver: sizes[giver] / shares[giver])
        given = max((p for p in movable if splits[p] == fullest), key=lambda p: _point(p, config.salt))
        splits[given] = name


def _point(identity: str, salt: str) -> float:
    digest = hashlib.sha256(f"{salt}\0{identity}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / _HASH_RANGE
