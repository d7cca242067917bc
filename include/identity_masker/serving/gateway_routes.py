"""The routes of the gateway and what OpenAPI says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response

from identity_masker.serving import outcomes
from identity_masker.serving.api import DESCRIPTION, HeaderKey, Health, QueryKey, mask_responses
from identity_masker.serving.application import application
from identity_masker.serving.bundle_masking import BODY
from identity_masker.serving.direct_route import direct
from identity_masker.serving.mask_options import HeaderTimeout, QueryVersion
from identity_masker.serving.outcomes import Accepted
from identity_masker.serving.problem import HttpError, documented

if TYPE_CHECKING:
    from identity_masker.serving.gateway import Gateway

MASK = "/v1/mask"
LONGEST = 256
"""Characters of a key or a user's id."""

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
        max_length=LONGEST,
        description="The same user stays with the same variant. Hashed here, never logged and never passed on.",
    ),
]
RequiredUserId = Annotated[
    str,
    Header(alias="x-user-id", min_length=1, max_length=LONGEST, description="Who did it. Hashed here, never logged."),
]
SampleConsent = Annotated[
    Literal["yes", "no"],
    Header(
        alias="x-sample-consent",
        description="`yes`: all people in the picture agreed to its being kept for some days, should it be drawn.",
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


def routes(gateway: Gateway, *, operations: bool) -> FastAPI:
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

    return app


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
    """The route that every picture takes.

    Its parameters are checked here: FastAPI's own way through them is a third of what a request costs.
    """
    router = APIRouter(
        route_class=direct(_parameters, gateway.guard, gateway.limiter.check if gateway.limiter else None)
    )

    @router.post(
        MASK,
        tags=["masking"],
        summary="Mask one picture",
        description=DESCRIPTION,
        response_class=Response,
        responses=mask_responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503, 504, headers=VARIANT_HEADER),
        openapi_extra=BODY,
    )
    async def mask(
        request: Request,
        key: QueryKey = None,
        header_key: HeaderKey = None,
        user: UserId = None,
        given: UserAttributes = None,
        version: QueryVersion = None,
        timeout: HeaderTimeout = None,
        consent: SampleConsent = "no",
    ) -> Response:
        # Key, version and timeout go on with the request; the last two are checked by the model server.
        for name, value in (("query.key", key), ("header.x-consistency-key", header_key), ("header.x-user-id", user)):
            _check_length(name, value, least=name != "header.x-user-id")
        return await gateway.mask(request, user, given, consent=consent == "yes")

    return router


def _parameters(request: Request) -> dict[str, str | None]:
    headers = request.headers
    return {
        "key": request.query_params.get("key") if request.scope["query_string"] else None,
        "header_key": headers.get("x-consistency-key"),
        "user": headers.get("x-user-id"),
        "given": headers.get("x-user-attributes"),
        "consent": _consent(headers.get("x-sample-consent", "no")),
    }


def _consent(value: str) -> str:
    """Raises `HttpError` 422 for what is neither yes nor no."""
    if value not in ("yes", "no"):
        raise _invalid("header.x-sample-consent", value[:20], "yes or no")
    return value


def _check_length(name: str, value: str | None, *, least: int) -> None:
    """Raises `HttpError` 422, as FastAPI's check would."""
    if value is None or least <= len(value) <= LONGEST:
        return
    raise _invalid(name, f"{len(value)} characters", f"{least} to {LONGEST} characters")


def _invalid(name: str, got: str, allowed: str) -> HttpError:
    return HttpError(
        422, "invalid_parameter", "a parameter is not valid", got=f"{name}: {got}", allowed=allowed, fix="see /docs"
    )
