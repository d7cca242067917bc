"""Sticky assignments: a unit keeps its variant when weights or coverage change.

`assign` reads them and says what to remember; where they are kept is the caller's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from identity_masker.experiments.assignment import Assignment, Rule, Stored, assign
from identity_masker.experiments.targeting import Attributes


class StickyStore(Protocol):
    """Keeps, for an attribute and its value, the variants that were assigned."""

    def get(self, attribute: str, value: str) -> Mapping[str, str]:
        """{"<experiment>__<bucket version>": variant}; empty for an unknown value."""
        ...

    def put(self, attribute: str, value: str, key: str, variant: str) -> None:
        """Keep one assignment."""
        ...


class MemoryStickyStore:
    """A `StickyStore` for one process."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], dict[str, str]] = {}

    def get(self, attribute: str, value: str) -> Mapping[str, str]:
        return self.documents.get((attribute, value), {})

    def put(self, attribute: str, value: str, key: str, variant: str) -> None:
        self.documents.setdefault((attribute, value), {})[key] = variant


def assign_sticky(rule: Rule, attributes: Attributes, store: StickyStore) -> Assignment:
    """`assign` with the unit's earlier assignments, keeping a new one."""
    if not rule.sticky:
        return assign(rule, attributes)
    stored: dict[tuple[str, str], Mapping[str, str]] = {}
    for attribute in (rule.attribute, rule.fallback):
        value = attributes.get(attribute) if attribute else None
        if attribute and value not in (None, ""):
            stored[attribute, str(value)] = store.get(attribute, str(value))
    found = assign(rule, attributes, stored)
    if found.remember is not None:
        (attribute, value), key, variant = found.remember
        if stored.get((attribute, value), {}).get(key) != variant:
            store.put(attribute, value, key, variant)
    return found


__all__ = ["MemoryStickyStore", "StickyStore", "Stored", "assign_sticky"]
