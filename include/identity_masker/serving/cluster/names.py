"""What the objects of a version are called and labelled."""

from __future__ import annotations

import re
import zlib

MANAGER = "masker-fleet"
"""Field manager of server-side apply, and the value of the label managed-by."""

VERSION = "identity-masker/version"
"""Label (shortened where it has to be) and annotation (in full) with the registry's number of the version."""

WANTED = "identity-masker/wanted"
APPLIED = "identity-masker/applied"
APPLIED_AT = "identity-masker/applied-at"
COMPONENT = "model-server"
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LONGEST_SLUG = 24


def slug(version: str) -> str:
    """`version` as a part of a name; another text for every other version."""
    plain = re.sub(r"[^a-z0-9]+", "-", version.lower()).strip("-")[:_LONGEST_SLUG].strip("-")
    return plain if plain == version else f"{plain or 'v'}-{zlib.crc32(version.encode()):08x}"


def of_version(instance: str, version: str) -> str:
    """The name of all objects of `version`."""
    return f"{instance}-v{slug(version)}"


def labels_of_all(instance: str) -> dict[str, str]:
    """What all that a fleet owns has in common."""
    return {
        "app.kubernetes.io/name": "identity-masker",
        "app.kubernetes.io/instance": instance,
        "app.kubernetes.io/component": COMPONENT,
        "app.kubernetes.io/managed-by": MANAGER,
    }


def labels(instance: str, version: str) -> dict[str, str]:
    """What the objects of `version` have in common."""
    return {**labels_of_all(instance), VERSION: slug(version)}


def value(text: str) -> str:
    """`text` as the value of a label: what may not stand there becomes `_`."""
    if _LABEL.fullmatch(text):
        return text
    return re.sub(r"[^-A-Za-z0-9_.]", "_", text)[:63].strip("-_.") or "none"
