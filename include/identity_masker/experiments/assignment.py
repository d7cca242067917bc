"""Which variant a unit gets: sticky, weighted, deterministic, without I/O.

`Rule` is an experiment as assignment sees it; `assign` places one unit, `assign_all` many. The gateway, the command
line and the analysis call the same functions. With the same key or seed, weights and coverage, any GrowthBook SDK
places a unit alike (holdouts and layers are this project's own).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError
from identity_masker.experiments import hashing
from identity_masker.experiments.hashing import bucket
from identity_masker.experiments.targeting import Attributes, Condition, everyone

__all__ = ["Assignment", "Rule", "assign", "assign_all", "bucket", "bucket_ranges", "choose", "in_namespace"]

Range = tuple[float, float]
NOWHERE = -1
# Attribute → value → {"<experiment>__<bucket version>": variant}: GrowthBook's documents without their envelope.
Stored = Mapping[tuple[str, str], Mapping[str, str]]


class Assignment(NamedTuple):
    """Where a unit stands.

    `variant`: index of the variant to serve (0, the control, for units outside). `included`: the unit counts in the
    analysis. `reason`: assigned, sticky, forced, or why not: no_unit, holdout, layer, targeting, coverage, blocked,
    inactive, unknown_hash. `remember`: what to store for a sticky experiment, as ((attribute, value), key, variant).
    """

    variant: int
    included: bool
    reason: str
    name: str
    unit: str
    attribute: str
    bucket: float | None = None
    remember: tuple[tuple[str, str], str, str] | None = None


@dataclass(frozen=True)
class Rule:
    """An experiment as assignment sees it. `variants`: their names, control first; `ranges` in bucket space.

    `slot`: the part of `layer` that is this experiment's own; `holdout`: name and share of units that no experiment
    of that holdout sees. `forced`: unit → variant for testers, who are served it and never counted.
    """

    key: str
    variants: tuple[str, ...]
    ranges: tuple[Range, ...]
    seed: str = ""
    hash_version: int = 2
    attribute: str = "user"
    fallback: str | None = None
    condition: Condition = everyone
    layer: str = ""
    slot: Range = (0.0, 1.0)
    holdout: tuple[str, float] = ("", 0.0)
    forced: Mapping[str, str] = field(default_factory=dict)
    force: int | None = None
    sticky: bool = False
    bucket_version: int = 0
    min_bucket_version: int = 0
    active: bool = True

    @cached_property
    def sticky_key(self) -> str:
        return f"{self.key}__{self.bucket_version}"

    @cached_property
    def _layer_key(self) -> int:
        return hashing.layer_key(f"layer:{self.layer}")

    @cached_property
    def _holdout_key(self) -> int:
        return hashing.layer_key(f"holdout:{self.holdout[0]}")

    @cached_property
    def _seed_state(self) -> int:
        return hashing.fnv1a32(self.seed or self.key)

    def place(self, unit: str) -> float | None:
        """The unit's bucket."""
        if self.hash_version == 2:
            return hashing.fnv1a32(str(hashing.fnv1a32(unit, self._seed_state))) % 10_000 / 10_000
        return bucket(self.seed or self.key, unit, self.hash_version)

    def outside(self, unit: str) -> str | None:
        """`holdout` or `layer` when the unit is another's, else None."""
        name, share = self.holdout
        if name and hashing.position_with_key(self._holdout_key, unit) < share:
            return "holdout"
        if self.layer and not self.slot[0] <= hashing.position_with_key(self._layer_key, unit) < self.slot[1]:
            return "layer"
        return None


def bucket_ranges(n: int, coverage: float = 1.0, weights: Sequence[float] | None = None) -> list[Range]:
    """Ranges of buckets of `n` variants, as GrowthBook makes them.

    Range i starts where the weights before it end, and covers `coverage` of weight i: lowering the coverage moves no
    unit to another variant. Coverage is clipped to [0, 1]; weights that are missing, of another length, or do not
    sum to 1 within 0.01, count as equal. (A design with such weights is refused before it comes here.)
    """
    if n < 1:
        return []
    share = min(max(coverage, 0.0), 1.0)
    parts = list(weights) if weights is not None else []
    if len(parts) != n or not 0.99 <= sum(parts) <= 1.01:
        parts = [1.0 / n] * n
    ranges, start = [], 0.0
    for part in parts:
        ranges.append((start, start + share * part))
        start += part
    return ranges


def choose(point: float, ranges: Sequence[Range]) -> int:
    """Index of the first range with low ≤ point < high, or -1."""
    for index, (low, high) in enumerate(ranges):
        if low <= point < high:
            return index
    return NOWHERE


def in_namespace(user: str, namespace: Sequence[Any]) -> bool:
    """Whether `user` lies in a GrowthBook namespace [name, low, high].

    For GrowthBook's own configurations. Its hash makes namespaces depend on one another: use layers for new work.
    """
    name, low, high = namespace
    point = bucket(f"__{name}", user, 1)
    return point is not None and low <= point < high


def assign(rule: Rule, attributes: Attributes, stored: Stored | None = None) -> Assignment:
    """The variant of the unit with these `attributes`; `stored` holds sticky assignments by (attribute, value)."""
    attribute, unit = _unit(rule, attributes)
    kept, reason = _entrance(rule, attributes, unit, stored or {})
    point = rule.place(unit) if reason is None or reason == "sticky" else None
    index = kept
    if reason is None:
        index = NOWHERE if point is None else choose(point, rule.ranges)
        reason = "unknown_hash" if point is None else "coverage" if index == NOWHERE else "assigned"
    included = reason in ("assigned", "sticky")
    if included and rule.force is not None:
        index, included, reason = rule.force, False, "forced"
    index = index if included or reason == "forced" else 0
    remember = ((attribute, unit), rule.sticky_key, rule.variants[index]) if rule.sticky and included else None
    return Assignment(index, included, reason, rule.variants[index], unit, attribute, point, remember)


def assign_all(
    rule: Rule, units: Sequence[str] | NDArray[np.str_], eligible: NDArray[np.bool_] | None = None
) -> NDArray[np.int8]:
    """Variants of many units: int8 (n,), -1 for units outside. `eligible` marks the units that the targeting admits.

    Units that are forced are outside, as they do not count. Sticky assignments are not looked up.
    """
    points = hashing.buckets(rule.seed or rule.key, units, rule.hash_version)
    if points is None or not rule.active:
        return np.full(len(units), NOWHERE, dtype=np.int8)
    result = np.full(points.size, NOWHERE, dtype=np.int8)
    # Backwards, so that the first of two ranges that overlap has the last word, as in `choose`.
    for index in range(len(rule.ranges) - 1, -1, -1):
        low, high = rule.ranges[index]
        result[(points >= low) & (points < high)] = index
    name, share = rule.holdout
    if name:
        result[hashing.positions(f"holdout:{name}", units) < share] = NOWHERE
    if rule.layer:
        place = hashing.positions(f"layer:{rule.layer}", units)
        result[(place < rule.slot[0]) | (place >= rule.slot[1])] = NOWHERE
    if eligible is not None:
        result[~eligible] = NOWHERE
    if rule.forced:
        result[np.isin(np.asarray(units), list(rule.forced))] = NOWHERE
    return result


def _unit(rule: Rule, attributes: Attributes) -> tuple[str, str]:
    """The attribute that names the unit, and its value; the fallback when the first is missing."""
    for attribute in (rule.attribute, rule.fallback):
        value = attributes.get(attribute) if attribute else None
        if value is not None and value != "":
            return str(attribute), value if isinstance(value, str) else str(value)
    return rule.attribute, ""


def _entrance(rule: Rule, attributes: Attributes, unit: str, stored: Stored) -> tuple[int, str | None]:
    """A variant that is settled without hashing, and why the unit is not hashed (None: it is)."""
    if not unit:
        return NOWHERE, "no_unit"
    if not rule.active:
        return NOWHERE, "inactive"
    if unit in rule.forced:
        return _index(rule, rule.forced[unit]), "forced"
    if rule.sticky:
        kept, blocked = _kept(rule, attributes, stored)
        if blocked or kept is not None:
            return (NOWHERE, "blocked") if kept is None else (kept, "sticky")
    if (outside := rule.outside(unit)) is not None:
        return NOWHERE, outside
    return NOWHERE, None if rule.condition(attributes) else "targeting"


def _kept(rule: Rule, attributes: Attributes, stored: Stored) -> tuple[int | None, bool]:
    """The variant that was stored for the unit (its own name before the fallback's), and whether it is shut out."""
    documents = [
        stored.get((attribute, str(attributes[attribute])), {})
        for attribute in (rule.attribute, rule.fallback)
        if attribute and attributes.get(attribute) not in (None, "")
    ]
    old = [f"{rule.key}__{version}" for version in range(rule.min_bucket_version)]
    if any(key in document for document in documents for key in old):
        return None, True
    for document in documents:
        name = document.get(rule.sticky_key)
        if name in rule.variants:
            return rule.variants.index(name), False
    return None, False


def _index(rule: Rule, variant: str) -> int:
    if variant not in rule.variants:
        raise BadInputError("a forced variant does not exist", got=variant, allowed=", ".join(rule.variants))
    return rule.variants.index(variant)
