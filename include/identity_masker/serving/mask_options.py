"""What a client may ask for with pictures, beside the pictures: the parameters of `POST /v1/mask`."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, NamedTuple

from fastapi import Header, Query, Request

from identity_masker.serving.api import HeaderKey, QueryKey
from identity_masker.serving.problem import HttpError

LONGEST_KEY, LONGEST_VERSION, LONGEST_SECONDS = 256, 64, 3600
QueryVersion = Annotated[
    str | None,
    Query(
        alias="version",
        min_length=1,
        max_length=LONGEST_VERSION,
        description="Version of the model, by number or semver, among those that the server holds; else the default.",
        examples=["1.0.0"],
    ),
]
_STRENGTH = "1 masks in full; below it the person shows through: a blend with the picture, which at 0 stays as it was."
QueryStrength = Annotated[float | None, Query(alias="strength", ge=0, le=1, description=_STRENGTH)]
HeaderStrength = Annotated[float | None, Header(alias="x-masking-strength", ge=0, le=1, description=_STRENGTH)]
HeaderTimeout = Annotated[
    float | None,
    Header(
        alias="x-request-timeout",
        gt=0,
        le=LONGEST_SECONDS,
        allow_inf_nan=False,
        description="Seconds within which the answer is wanted. A request that cannot make it is refused at once, and "
        "none is worked on after it.",
        examples=[2.5],
    ),
]


class MaskOptions(NamedTuple):
    """key       pictures with the same one get the same fictitious face; None for a new one each
    strength  0 (as it was) to 1 (masked in full)
    version   None for the default
    deadline  monotonic time after which nobody wants the answer
    """

    key: str | None
    strength: float
    version: str | None
    deadline: float

    def key_or_new(self) -> str:
        return self.key or secrets.token_hex(16)


def mask_options(
    key: QueryKey = None,
    header_key: HeaderKey = None,
    strength: QueryStrength = None,
    header_strength: HeaderStrength = None,
    version: QueryVersion = None,
    timeout: HeaderTimeout = None,
) -> MaskOptions:
    """The options of a request as FastAPI describes them; `options_of` reads them."""
    given = strength if header_strength is None else header_strength
    return MaskOptions(header_key or key, 1.0 if given is None else given, version, deadline_in(timeout))


def options_of(request: Request) -> MaskOptions:
    """The options of a request, its time running from now. Raises `HttpError` 422 where one is not as described."""
    headers = request.headers
    key, strength, version = headers.get("x-consistency-key"), headers.get("x-masking-strength"), None
    if request.scope["query_string"]:
        query = request.query_params
        key = key or _text("query.key", query.get("key"), LONGEST_KEY)
        strength = query.get("strength") if strength is None else strength
        version = _text("query.version", query.get("version"), LONGEST_VERSION)
    full = _text("header.x-consistency-key", key, LONGEST_KEY)
    return MaskOptions(full, _strength(strength), version, deadline_of(request))


def _strength(text: str | None) -> float:
    if text is None:
        return 1.0
    strength = _number(text)
    if not 0 <= strength <= 1:
        raise _invalid("strength", text[:40], "a number from 0 to 1")
    return strength


def _number(text: str) -> float:
    """The number, or one that no range holds."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def deadline_of(request: Request) -> float:
    """The monotonic time that the header x-request-timeout gives, or never. Raises `HttpError` 422."""
    text = request.headers.get("x-request-timeout")
    if text is None:
        return float("inf")
    seconds = _number(text)
    if not 0 < seconds <= LONGEST_SECONDS:
        raise _invalid("header.x-request-timeout", text[:40], f"seconds, more than 0 and at most {LONGEST_SECONDS}")
    return deadline_in(seconds)


def _text(name: str, value: str | None, most: int) -> str | None:
    if value is not None and not 1 <= len(value) <= most:
        raise _invalid(name, f"{len(value)} characters", f"1 to {most} characters")
    return value


def _invalid(name: str, got: str, allowed: str) -> HttpError:
    return HttpError(
        422, "invalid_parameter", f"{name} is not valid", got=got, allowed=allowed, fix="see /docs for the parameters"
    )


def deadline_in(seconds: float | None) -> float:
    """The monotonic time in so many seconds, or never."""
    return float("inf") if seconds is None else time.monotonic() + seconds
