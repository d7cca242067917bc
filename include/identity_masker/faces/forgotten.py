"""The people who asked to be forgotten: known by a salted hash alone, so that the list itself names nobody."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import NotFoundError
from identity_masker.faces.versions import VersionStore

REASON = "forgotten"


class Forgotten(BaseModel):
    """SHA-256 of salt and identity, for each person."""

    model_config = ConfigDict(frozen=True)

    salt: str
    people: frozenset[str] = frozenset()

    def hashed(self, identity: str) -> str:
        return hashlib.sha256(f"{self.salt}\0{identity}".encode()).hexdigest()

    def among(self, identities: Iterable[str]) -> list[str]:
        """Those of `identities` who are to be forgotten."""
        return [identity for identity in identities if self.hashed(identity) in self.people] if self.people else []


def read(versions: VersionStore, name: str) -> Forgotten:
    """Who is to be forgotten in the dataset `name`."""
    try:
        return artifacts.read_model(Forgotten, _uri(versions, name))
    except NotFoundError:
        return Forgotten(salt=secrets.token_hex(16))


def add(versions: VersionStore, name: str, identity: str) -> None:
    """From now on no ingestion into `name` takes a picture of `identity`."""
    known = read(versions, name)
    people = sorted({*known.people, known.hashed(identity)})
    artifacts.write_json(_uri(versions, name), {"salt": known.salt, "people": people})


def _uri(versions: VersionStore, name: str) -> str:
    return versions.uri(name, "forgotten.json")
