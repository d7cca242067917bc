"""What a client may ask for with pictures, beside the pictures: the parameters of `POST /v1/mask`."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, NamedTuple

from fastapi import Header, Query

from identity_masker.serving.api import HeaderKey, QueryKey

QueryVersion = Annotated[
    str | None,
    Query(alias="version", min_length=1, max_length=64, description="Version of the model, by number or semver, among "
          "those that the server holds. Default: the one that it serves.", examples=["1.0.0"]),
]  # fmt: skip
HeaderTimeout = Annotated[
    float | None,
    Header(alias="x-request-timeout", gt=0, le=3600, allow_inf_nan=False, description="Seconds within which the answer "
           "is wanted. A request that cannot make it is refused at once, and is never worked on after it.",
           examples=[2.5]),
]  # fmt: skip


class MaskOptions(NamedTuple):
    """key       pictures with the same one get the same fictitious face; None for a new one each
    version   None for the default
    deadline  monotonic time after which nobody wants the answer
    """

    key: str | None
    version: str | None
    deadline: float

    def key_or_new(self) -> str:
        return self.key or secrets.token_hex(16)


def mask_options(
    key: QueryKey = None, header_key: HeaderKey = None, version: QueryVersion = None, timeout: HeaderTimeout = None
) -> MaskOptions:
    """The options of a request, its time running from now."""
    return MaskOptions(header_key or key, version, deadline_in(timeout))


def deadline_in(seconds: float | None) -> float:
    """The monotonic time in so many seconds, or never."""
    return float("inf") if seconds is None else time.monotonic() + seconds
