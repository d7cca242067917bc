"""`POST /v1/events`: what users did, as the client saw it."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from identity_masker.serving.api import schema_of
from identity_masker.serving.problem import HttpError

MAX_BYTES = 1 << 20
AHEAD, BEHIND = timedelta(minutes=1), timedelta(days=30)


class OutcomeEvent(BaseModel):
    """One thing that a user did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$", examples=["kept"])
    value: float = Field(allow_inf_nan=False, examples=[1.0])
    time: AwareDatetime | None = Field(default=None, description="When; by default when it arrives here.")
    event_id: str | None = Field(
        default=None,
        pattern=r"^[\x21-\x7e]{1,128}$",
        description="An event that is sent again with the same id within its hour counts once.",
    )


class OutcomeEvents(BaseModel):
    """What one request brings; it is accepted as a whole or not at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: Annotated[list[OutcomeEvent], Field(min_length=1, max_length=1000)]


class Accepted(BaseModel):
    """The events are in the log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accepted: int


BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": schema_of(OutcomeEvents)}}}
}


def check_content_type(header: str | None) -> None:
    """Raise `HttpError` 415 unless the body is said to be JSON."""
    if (header or "").split(";", 1)[0].strip().lower() != "application/json":
        raise HttpError(
            415,
            "unsupported_media_type",
            "the content type is not JSON",
            got=(header or "")[:80] or "no content-type header",
            allowed="application/json",
            fix="send the events as JSON",
        )


def rows(body: bytes, unit: str, now: datetime) -> list[dict[str, Any]]:
    """The events of a body as the log holds them. Raises `HttpError` 422 for what is not valid."""
    try:
        given = OutcomeEvents.model_validate_json(body).events
    except (ValidationError, RecursionError) as error:
        raise _invalid(_words(error)) from error
    return [_row(event, unit, now, at) for at, event in enumerate(given)]


def _row(event: OutcomeEvent, unit: str, now: datetime, at: int) -> dict[str, Any]:
    time = event.time or now
    if not now - BEHIND <= time <= now + AHEAD:
        raise _invalid(f"events.{at}.time: {time.isoformat()} is in the future or older than {BEHIND.days} days")
    return {
        "event_id": _id(unit, event.event_id),
        "time": time.astimezone(UTC),
        "unit": unit,
        "name": event.name,
        "value": event.value,
    }


def _id(unit: str, given: str | None) -> str:
    """A user's own ids cannot meet those of another."""
    return uuid.uuid4().hex if given is None else hashlib.sha256(f"{unit}\0{given}".encode()).hexdigest()[:32]


def _words(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "JSON that is nested too deeply"
    first = error.errors(include_input=False, include_url=False, include_context=False)[:5]
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in first)


def _invalid(got: str) -> HttpError:
    return HttpError(422, "invalid_events", "the events are not valid", got=got, fix="see /docs")
