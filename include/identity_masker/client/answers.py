"""What goes to the API and what comes back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import httpx

from identity_masker.errors import BadInputError

SIGNATURES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))


class Masked(NamedTuple):
    """A masked picture and where it comes from."""

    content: bytes
    media_type: str
    request_id: str
    model_version: str
    variant: str


class Outcome(NamedTuple):
    """Something that a user did. With `event_id`, telling it twice counts once."""

    name: str
    value: float = 1.0
    time: datetime | None = None
    event_id: str | None = None

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": self.value,
            # The same id on every try: an event whose answer was lost on the way is not counted twice.
            "event_id": self.event_id or uuid.uuid4().hex,
            **({"time": self.time.isoformat()} if self.time else {}),
        }


def common_headers(token: str | None, correlation_id: str) -> dict[str, str]:
    """The headers of every request of a client."""
    pairs = {"authorization": f"Bearer {token}" if token else "", "x-correlation-id": correlation_id}
    return {name: value for name, value in pairs.items() if value}


def picture_request(
    picture: bytes,
    *,
    key: str | None,
    accept: str | None,
    user: str | None,
    attributes: Mapping[str, object] | None,
    consent: bool,
    request_id: str,
) -> httpx.Request:
    """`POST /v1/mask`. Raises `BadInputError` for what is no PNG, JPEG or WebP."""
    headers = {"content-type": media_type(picture), "x-request-id": request_id}
    optional = {
        "x-consistency-key": key,
        "accept": accept,
        "x-user-id": user,
        "x-user-attributes": json.dumps(attributes) if attributes is not None else None,
        "x-sample-consent": "yes" if consent else None,
    }
    headers |= {name: value for name, value in optional.items() if value is not None}
    return httpx.Request("POST", "/v1/mask", content=picture, headers=headers)


def events_request(user: str, outcomes: Iterable[Outcome], request_id: str) -> httpx.Request:
    """`POST /v1/events`."""
    headers = {"x-user-id": user, "x-request-id": request_id}
    return httpx.Request("POST", "/v1/events", json={"events": [each.document() for each in outcomes]}, headers=headers)


def media_type(picture: bytes) -> str:
    """The content type by the file's first bytes."""
    for signature, name in SIGNATURES:
        if picture.startswith(signature):
            return name
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return "image/webp"
    raise BadInputError(
        "this is not a picture that the API reads", got=f"{len(picture)} bytes", allowed="PNG, JPEG or WebP"
    )


def masked(answer: httpx.Response) -> Masked:
    """The picture in a successful answer."""
    headers = answer.headers
    return Masked(
        content=answer.content,
        media_type=headers.get("content-type", ""),
        request_id=headers.get("x-request-id", ""),
        model_version=headers.get("x-model-version", ""),
        variant=headers.get("x-variant", ""),
    )


def new_request_id() -> str:
    return uuid.uuid4().hex
