"""Takes out of an alert what it must not carry: secrets, user ids, file names, pixels."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit, urlunsplit

from identity_masker.telemetry.logs import MASK, SENSITIVE, mask_sensitive

PERSONAL = re.compile(r"user|e[_-]?mail|file|path|folder|picture|image|pixel", re.IGNORECASE)
"""Names of facts whose words stand for a person or a picture; their numbers (`images: 60`) do not."""

_SECRET_NAME = rf"[\w-]*(?:{SENSITIVE.pattern})[\w-]*"
_MEDIA = "png|jpe?g|webp|bmp|gif|tiff?|heic|avif|mp4|mov|avi|mkv|npy|npz"
_PATTERNS = (
    # https://user:password@host
    (re.compile(r"(?<=://)[^\s/@]+:[^\s/@]+(?=@)"), MASK),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE), rf"\1 {MASK}"),
    # password=…, "token": "…"
    (re.compile(rf"\b({_SECRET_NAME})([\"']?\s*[=:]\s*)(?!\*)[\"']?[^\s\"',;&]+[\"']?", re.IGNORECASE), rf"\1\2{MASK}"),
    (re.compile(r"\bxox[a-z]-[A-Za-z0-9-]+"), MASK),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), MASK),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), MASK),
    # What is so long and without a space is data, not words.
    (re.compile(r"[A-Za-z0-9+/=_-]{100,}"), MASK),
    # Paths of files and folders, but neither URLs nor the paths of our own HTTP services.
    (re.compile(r"(?<![\w:/.*-])~?/(?!v\d+/|api/|health|metrics)(?:[^\s/'\",;:]+/)+[^\s'\",;:)]*"), MASK),
    (re.compile(rf"[^\s/'\",;:(]+\.(?:{_MEDIA})\b", re.IGNORECASE), MASK),
)  # fmt: skip
_LONG = 20_000


def scrubbed(text: str) -> str:
    """`text` with everything masked that looks like a secret, an e-mail address, a file or bytes in letters."""
    text = text[:_LONG]
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def scrubbed_key(key: str) -> str:
    """`key` scrubbed; two keys that differ in what is masked stay two."""
    clean = scrubbed(key)
    return key if clean == key else f"{clean[:180]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def scrubbed_facts(facts: dict[str, object]) -> dict[str, object]:
    """`facts` masked as log fields are; words under a personal name are masked too."""
    masked = mask_sensitive(None, "", dict(facts))
    return {name: _value(name, value) for name, value in masked.items()}


def scheme(url: str) -> str:
    """The scheme of a URL; empty for what is none."""
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def scrubbed_url(url: str) -> str:
    """`url` without user, password and secret parameters."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(pair for pair in parts.query.split("&") if not SENSITIVE.search(pair.partition("=")[0]))
    return urlunsplit((parts.scheme, host, parts.path, query, parts.fragment))


def _value(name: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    return MASK if PERSONAL.search(name) else scrubbed(value)
