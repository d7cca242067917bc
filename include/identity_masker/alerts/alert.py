"""The one message object: what happened, how bad it is, and which incident it belongs to."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from identity_masker.alerts.scrub import scheme, scrubbed, scrubbed_facts, scrubbed_key, scrubbed_url
from identity_masker.documents import words
from identity_masker.errors import BadInputError

Area = Literal["serving", "release", "drift", "experiments", "data", "training", "pipeline", "infrastructure"]
Severity = Literal["info", "warning", "critical"]
State = Literal["firing", "resolved", "notice"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")

Fact = str | int | float | bool
Key = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s][^\r\n]*$")]
MAX_TITLE, MAX_TEXT, MAX_FACT, MAX_FACTS, MAX_LINKS = 200, 4000, 300, 30, 10
_SCHEMES = frozenset({"http", "https", "s3", "file"})


class Alert(BaseModel):
    """What people are told.

    `incident` names what is wrong; all alerts with it are one thread. `state` is `firing` until a later one is
    `resolved`; a `notice` is something that happened and ends by itself. With an `event` the same incident and event
    are told once, however often they are sent. Secrets, user ids, file names and bytes are masked when it is made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    area: Area
    severity: Severity
    title: str = Field(min_length=1)
    text: str = ""
    facts: dict[str, Fact] = Field(default={}, max_length=MAX_FACTS)
    links: dict[str, str] = Field(default={}, max_length=MAX_LINKS, description="Name → http(s), s3 or file URL.")
    incident: Key
    event: str = Field(default="", max_length=200)
    state: State = "firing"
    time: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    correlation_id: str = Field(default="", max_length=300, description="DAG run or request that it is about.")

    @field_validator("incident", "event", "correlation_id")
    @classmethod
    def _keys(cls, value: str) -> str:
        return scrubbed_key(value)

    @field_validator("title")
    @classmethod
    def _title(cls, value: str) -> str:
        # One line: it becomes the subject of an e-mail.
        value = shortened(re.sub(r"\s+", " ", scrubbed(value)).strip(), MAX_TITLE)
        if not value:
            raise ValueError("a title needs at least one character that can be seen")
        return value

    @field_validator("text")
    @classmethod
    def _text(cls, value: str) -> str:
        return shortened(scrubbed(value).strip(), MAX_TEXT)

    @field_validator("facts")
    @classmethod
    def _facts(cls, value: dict[str, Fact]) -> dict[str, Any]:
        return {
            shortened(name, MAX_FACT): shortened(each, MAX_FACT) if isinstance(each, str) else each
            for name, each in scrubbed_facts(dict(value)).items()
        }

    @field_validator("links")
    @classmethod
    def _links(cls, value: dict[str, str]) -> dict[str, str]:
        for name, url in value.items():
            if scheme(url) not in _SCHEMES:
                raise ValueError(f"the link {name!r} is not a URL of {', '.join(sorted(_SCHEMES))}")
        return {name: scrubbed_url(url) for name, url in value.items()}


def rank(severity: Severity) -> int:
    """0 for info, 2 for critical."""
    return SEVERITIES.index(severity)


def shortened(text: str, length: int) -> str:
    """`text` cut to `length` characters, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def parsed(document: object) -> Alert:
    """An alert from a JSON document. Raises `BadInputError` that names every wrong field."""
    try:
        return Alert.model_validate(document)
    except ValidationError as error:
        raise BadInputError("the alert does not validate", got=words(error), fix="see docs/alerts.md") from error
