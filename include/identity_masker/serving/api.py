"""The public API in OpenAPI: one description of `POST /v1/mask` for the model server and the gateway."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header, Query
from pydantic import BaseModel, ConfigDict, Field

from identity_masker.serving import problem
from identity_masker.serving.pictures import FORMATS

_BINARY = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in FORMATS}
_KEY = "Pictures with the same key get the same fictitious face. Without one, each request gets a face of its own."

QueryKey = Annotated[
    str | None, Query(alias="key", min_length=1, max_length=256, description=_KEY, examples=["visit-42"])
]
HeaderKey = Annotated[
    str | None,
    Header(alias="x-consistency-key", min_length=1, max_length=256, description=f"The same, kept out of URLs. {_KEY}"),
]

BODY: dict[str, Any] = {"requestBody": {"required": True, "description": "The picture.", "content": _BINARY}}

RESPONSE_HEADERS: dict[str, Any] = {
    "x-request-id": {"description": "The id of this request, also in the logs.", "schema": {"type": "string"}},
    "x-model-version": {
        "description": "Version of the model that masked the picture.",
        "schema": {"type": "string", "example": "1.0.0"},
    },
}

DESCRIPTION = """Send a PNG, JPEG or WebP picture of a face, get it back with a fictitious identity: pose, expression,
gaze and light stay. The answer has the input's format unless `Accept` asks for another. Metadata is removed.

```
curl --data-binary @face.png -H 'content-type: image/png' http://127.0.0.1:8000/v1/mask -o masked.png
```
"""


def mask_responses(*statuses: int, headers: dict[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
    """The documented answers: a picture, or a problem document for each of `statuses`."""
    found = problem.documented(*statuses)
    found[200] = {
        "description": "The masked picture.",
        "content": _BINARY,
        "headers": {**RESPONSE_HEADERS, **(headers or {})},
    }
    return found


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of `model` in one piece: within OpenAPI, references to `$defs` would lead nowhere."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def whole(part: Any) -> Any:
        if isinstance(part, list):
            return [whole(each) for each in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return whole(parts[part["$ref"].rpartition("/")[2]])
        return {name: whole(value) for name, value in part.items()}

    found: dict[str, Any] = whole(schema)
    return found


class Health(BaseModel):
    """What a service says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: str = Field(examples=["ready"])
    model_version: str | None = Field(default=None, examples=["1.0.0"])
