"""The routes of the gateway and what OpenAPI says of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response

from identity_masker.serving import outcomes
from identity_masker.serving.api import DESCRIPTION, Health, mask_responses
from identity_masker.serving.application import application, failure, internal
from identity_masker.serving.bundle_masking import BODY
from identity_masker.serving.direct_route import Express, direct
from identity_masker.serving.mask_options import MaskOptions, mask_options, options_of
from identity_masker.serving.outcomes import Accepted
from identity_masker.serving.problem import HttpError, documented

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from identity_masker.serving.gateway import Gateway

MASK = "/v1/mask"
LONGEST_USER = 256
SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
"""What names a camera or stream."""

PERMISSIONS = {
    MASK: "mask",
    "/v1/events": "events:write",
    "/v1/routing": "routing:read",
    "/v1/release": "release:read",
    "/metrics": "metrics:read",
}
"""What a token has to give for each route."""

VARIANT_HEADER = {
    "x-variant": {
        "description": "Name of the variant in the routing table, or EXPERIMENT:VARIANT.",
        "schema": {"type": "string"},
    }
}
UserId = Annotated[
    str | None,
    Header(
        alias="x-user-id",
        max_length=LONGEST_USER,
        description="The same user stays with the same variant. Hashed here, never logged and never passed on.",
    ),
]
RequiredUserId = Annotated[
    str,
    Header(
        alias="x-user-id", min_length=1, max_length=LONGEST_USER, description="Who did it. Hashed here, never logged."
    ),
]
SampleConsent = Annotated[
    Literal["yes", "no"],
    Header(
        alias="x-sample-consent",
        description="`yes`: all people in the picture agreed to its being kept for some days, should it be drawn.",
    ),
]
SourceId = Annotated[
    str | None,
    Header(
        alias="x-source-id",
        pattern=f"^{SOURCE.pattern}$",
        description="The camera or stream that the picture comes from. Logged as it is, so name no person.",
    ),
]
UserAttributes = Annotated[
    str | None,
    Header(
        alias="x-user-attributes",
        description="A JSON object that experiments may choose users by.",
        examples=['{"device": "phone"}'],
    ),
]


def routes(gateway: Gateway, *, operations: bool) -> ASGIApp:
    """The public application of `gateway`; with the routes of operations, where they have no port of their own."""
    app = application("Identity masker", DESCRIPTION, gateway.metrics if operations else None, gateway.guard)
    app.router.lifespan_context = gateway.running
    _add_health(app, gateway)
    if operations:
        _add_operations(app, gateway)
    limited = [Depends(gateway.limiter)] if gateway.limiter else []
    app.include_router(_masking(gateway))

    @app.post(
        "/v1/events",
        tags=["events"],
        summary="Tell what a user did",
        dependencies=limited,
        responses=documented(400, 401, 403, 408, 413, 415, 422, 429, 503),
        openapi_extra=outcomes.BODY,
    )
    async def events(request: Request, user: RequiredUserId) -> Accepted:
        return await gateway.accept(request, user)

    return Express(app, failure, internal)


def operations(gateway: Gateway) -> FastAPI:
    """What is not for the public: metrics, routing, the release."""
    app = application("Identity masker: operations", "Metrics and state of a gateway.", gateway.metrics, gateway.guard)
    _add_health(app, gateway)
    _add_operations(app, gateway)
    return app


def _add_health(app: FastAPI, gateway: Gateway) -> None:
    @app.get("/health/live", tags=["operations"], summary="Does the process work?", responses=documented(503))
    async def live() -> Health:
        return gateway.live()

    @app.get("/health/ready", tags=["operations"], summary="Should it get requests?", responses=documented(503))
    async def ready() -> Health:
        return gateway.ready()


def _add_operations(app: FastAPI, gateway: Gateway) -> None:
    @app.get(
        "/v1/release",
        tags=["operations"],
        summary="How the newest release stands",
        description="The same as `masker release status --json`.",
        responses=documented(404, 503),
    )
    def release() -> dict[str, Any]:
        # Not a coroutine: the control database and the store are read, so it runs in a thread.
        return gateway.release()

    @app.get("/v1/routing", tags=["operations"], summary="Who gets which share", responses=documented(503))
    async def routing() -> dict[str, Any]:
        revision = gateway.deployed()
        return {"revision": revision.number, **revision.table.model_dump(mode="json")}


def _masking(gateway: Gateway) -> APIRouter:
    """The route that every picture takes."""
    limit = gateway.limiter.check if gateway.limiter else None
    router = APIRouter(route_class=direct(_read, gateway.guard, limit))

    @router.post(
        MASK,
        tags=["masking"],
        summary="Mask one picture, or several",
        description=DESCRIPTION,
        response_class=Response,
        responses=mask_responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503, 504, headers=VARIANT_HEADER),
        openapi_extra=BODY,
    )
    async def mask(
        request: Request,
        options: Annotated[MaskOptions, Depends(mask_options)],
        user: UserId = None,
        given: UserAttributes = None,
        consent: SampleConsent = "no",
        source: SourceId = None,
    ) -> Response:
        # The options go on with the request; they are read here so that a wrong one fails early.
        return await gateway.mask(request, user, given, consent=consent == "yes", source=source or "")

    return router


def _read(request: Request) -> dict[str, Any]:
    """The parameters of the masking route. Raises `HttpError` 422 where one is not as described."""
    headers = request.headers
    user, consent, source = (headers.get(f"x-{name}") for name in ("user-id", "sample-consent", "source-id"))
    if user is not None and len(user) > LONGEST_USER:
        raise _invalid("header.x-user-id", f"{len(user)} characters", f"at most {LONGEST_USER} characters")
    if consent not in ("yes", "no", None):
        raise _invalid("header.x-sample-consent", consent[:20], "yes or no")
    if source is not None and not SOURCE.fullmatch(source):
        raise _invalid("header.x-source-id", source[:20], f"letters, digits, dots and hyphens: {SOURCE.pattern}")
    return {
        "options": options_of(request),
        "user": user,
        "given": headers.get("x-user-attributes"),
        "consent": consent or "no",
        "source": source,
    }


def _invalid(name: str, got: str, allowed: str) -> HttpError:
    return HttpError(
        422, "invalid_parameter", "a parameter is not valid", got=f"{name}: {got}", allowed=allowed, fix="see /docs"
    )
