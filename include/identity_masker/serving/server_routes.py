"""The routes of the model server and what OpenAPI says of them."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Request, Response
from starlette.types import ASGIApp

from identity_masker.serving.api import DESCRIPTION, Health, mask_responses
from identity_masker.serving.application import application, failure, internal
from identity_masker.serving.bundle_masking import BODY
from identity_masker.serving.direct_route import Express, direct
from identity_masker.serving.inference import routes as inference
from identity_masker.serving.mask_options import MaskOptions, mask_options, options_of
from identity_masker.serving.problem import documented
from identity_masker.telemetry.metrics import HttpMetrics


class Masks(inference.Inferrer, Protocol):
    """What the routes need of the model server."""

    metrics: HttpMetrics

    def live(self) -> Health: ...

    def ready(self) -> Health: ...

    async def mask(self, request: Request, options: MaskOptions) -> Response: ...


def routes(server: Masks) -> ASGIApp:
    """The application of `server`."""
    app = application("Identity masker: model server", DESCRIPTION, server.metrics, server.guard)

    masking = APIRouter(route_class=direct(lambda request: {"options": options_of(request)}, server.guard))

    @masking.post(
        "/v1/mask",
        tags=["masking"],
        summary="Mask one picture, or several",
        description=DESCRIPTION,
        response_class=Response,
        responses=mask_responses(400, 404, 408, 413, 415, 422, 500, 503, 504),
        openapi_extra=BODY,
    )
    async def mask(request: Request, options: Annotated[MaskOptions, Depends(mask_options)]) -> Response:
        return await server.mask(request, options)

    app.include_router(masking)
    inference.add(app, server)

    @app.get("/health/live", tags=["operations"], summary="Does the process work?", responses=documented(503))
    async def live() -> Health:
        return server.live()

    @app.get("/health/ready", tags=["operations"], summary="Should it get requests?", responses=documented(503))
    async def ready() -> Health:
        return server.ready()

    return Express(app, failure, internal)
