"""The routes of the gateway and what OpenAPI says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response

from identity_masker.serving import outcomes
from identity_masker.serving.api import BODY, DESCRIPTION, HeaderKey, Health, QueryKey, mask_responses
from identity_masker.serving.application import application
from identity_masker.serving.outcomes import Accepted
from identity_masker.serving.problem import documented

if TYPE_CHECKING:
    from identity_masker.serving.gateway import Gateway

MASK = "/v1/mask"
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
        max_length=256,
        description="The same user stays with the same variant. Hashed here, never logged and never passed on.",
    ),
]
RequiredUserId = Annotated[
    str,
    Header(alias="x-user-id", min_length=1, max_length=256, description="Who did it. Hashed here, never logged."),
]
SourceId = Annotated[
    str | None,
    Header(
        alias="x-source-id",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$",
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


def routes(gateway: Gateway) -> FastAPI:
    """The application of `gateway`."""
    app = application("Identity masker", DESCRIPTION, gateway.metrics, gateway.guard)
    app.router.lifespan_context = gateway.running
    limited = [Depends(gateway.limiter)] if gateway.limiter else []

    @app.post(
        MASK,
        tags=["masking"],
        summary="Mask one picture",
        description=DESCRIPTION,
        response_class=Response,
        dependencies=limited,
        responses=mask_responses(400, 401, 403, 408, 413, 415, 422, 429, 500, 503, 504, headers=VARIANT_HEADER),
        openapi_extra=BODY,
    )
    async def mask(
        request: Request,
        key: QueryKey = None,
        header_key: HeaderKey = None,
        user: UserId = None,
        given: UserAttributes = None,
        source: SourceId = None,
    ) -> Response:
        # The key goes on with the request; it is declared here so that a wrong one fails early.
        return await gateway.mask(request, user, given, source)

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

    @app.get("/health/live", tags=["operations"], summary="Does the process work?", responses=documented(503))
    async def live() -> Health:
        return gateway.live()

    @app.get("/health/ready", tags=["operations"], summary="Should it get requests?", responses=documented(503))
    async def ready() -> Health:
        return gateway.ready()

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

    return app
