"""What the gateway needs of experiments: who meets which variant, asked through a function that is given to it."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from identity_masker.serving.problem import HttpError

Attributes = Mapping[str, object]
MAX_HEADER = 4096
MAX_ATTRIBUTES = 64
REMEMBERED = 200_000


class Exposure(NamedTuple):
    """A unit meets a variant of an experiment.

    `version`: the registry's number of the model version that is to serve it; None leaves that to the routing table.
    `forced`: a tester was put there by name.
    """

    experiment: str
    variant: str
    version: str | None
    forced: bool


Assign = Callable[[str, Attributes], Sequence[Exposure]]
"""The exposures of a unit (the hash of `units.unit`) with these attributes. Called for each request of a known user."""


class Seen:
    """Remembers the last 200,000 (experiment, unit, variant), so that each is logged once."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._keys: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._remembered = remembered

    def __contains__(self, key: tuple[str, str, str]) -> bool:
        if key not in self._keys:
            return False
        self._keys.move_to_end(key)
        return True

    def add(self, key: tuple[str, str, str]) -> None:
        self._keys[key] = None
        if len(self._keys) > self._remembered:
            self._keys.popitem(last=False)


def attributes(header: str | None) -> Attributes:
    """The attributes in the header x-user-attributes. Raises `HttpError` 422 unless they are a flat JSON object."""
    if not header:
        return {}
    found = _flat(header) if len(header) <= MAX_HEADER else None
    if found is None or len(found) > MAX_ATTRIBUTES:
        raise HttpError(
            422,
            "invalid_parameter",
            "the header x-user-attributes cannot be used",
            got=f"{len(header)} characters",
            allowed=f"a JSON object of {MAX_ATTRIBUTES} texts, numbers, booleans and nulls in {MAX_HEADER} characters",
            fix='send for instance {"device": "phone"}, or leave the header out',
        )
    return found


def _flat(text: str) -> Attributes | None:
    """The JSON object in `text`; None when it is none, or holds others. NaN and infinity are no JSON."""
    try:
        found = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or any(isinstance(value, dict | list) for value in found.values()):
        return None
    return found


def _refused(constant: str) -> None:
    raise ValueError(constant)
