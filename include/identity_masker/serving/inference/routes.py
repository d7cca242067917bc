"""The routes of the Open Inference Protocol on a model server."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI, Request, Response

from identity_masker.serving.direct_route import direct
from identity_masker.serving.guard import Guard
from identity_masker.serving.held_models import HeldModels
from identity_masker.serving.inference.wire import IMAGES, KEYS, MASKED
from identity_masker.serving.mask_options import HeaderTimeout, deadline_of
from identity_masker.serving.model import ServedModel
from identity_masker.serving.problem import HttpError, documented

MODEL = "masker"
SERVER = "identity-masker"
EXTENSIONS = ["binary_tensor_data"]
OCTETS = {"schema": {"type": "string", "format": "binary"}}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "JSON; behind it binary tensors, when Inference-Header-Content-Length says where they begin.",
        "content": {"application/json": {"schema": {"type": "object"}}, "application/octet-stream": OCTETS},
    }
}


class Inferrer(Protocol):
    """What the routes need of the model server."""

    def live(self) -> Any: ...

    def ready(self) -> Any: ...

    models: HeldModels
    guard: Guard | None

    async def infer(self, request: Request, version: str | None, deadline: float) -> Response: ...


def add(app: FastAPI, server: Inferrer) -> None:
    """Add the protocol's routes to `app`."""
    _health(app, server)

    @app.get("/v2", tags=["inference"], summary="What this server is")
    async def about() -> dict[str, Any]:
        return {"name": SERVER, "version": version("identity-masker"), "extensions": EXTENSIONS}

    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{number}"):
        _model(app, server, path)
        app.include_router(_inference(server, path))


def _health(app: FastAPI, server: Inferrer) -> None:
    @app.get("/v2/health/live", tags=["inference"], summary="Does the process work?", responses=documented(503))
    async def live() -> dict[str, bool]:
        server.live()
        return {"live": True}

    @app.get("/v2/health/ready", tags=["inference"], summary="Does it take requests?", responses=documented(503))
    async def ready() -> dict[str, bool]:
        server.ready()
        return {"ready": True}


def _model(app: FastAPI, server: Inferrer, path: str) -> None:
    @app.get(path, tags=["inference"], summary="Tensors of the model", responses=documented(404, 503))
    async def metadata(model: str, number: str | None = None) -> dict[str, Any]:
        return _metadata(_known(server, model, number), server.models)

    @app.get(f"{path}/ready", tags=["inference"], summary="Is the model ready?", responses=documented(404, 503))
    async def ready(model: str, number: str | None = None) -> dict[str, Any]:
        _known(server, model, number)
        server.ready()
        return {"name": MODEL, "ready": True}


def _inference(server: Inferrer, path: str) -> APIRouter:
    router = APIRouter(route_class=direct(lambda request: request.path_params, server.guard))

    @router.post(
        f"{path}/infer",
        tags=["inference"],
        summary="Mask a batch of crops",
        response_class=Response,
        responses={
            **documented(400, 404, 408, 413, 422, 500, 503, 504),
            200: {
                "description": "Masked images.",
                "content": {"application/json": {}, "application/octet-stream": OCTETS},
            },
        },
        openapi_extra=BODY,
    )
    async def infer(request: Request, model: str, number: str | None = None, timeout: HeaderTimeout = None) -> Response:
        _known(server, model, number)
        return await server.infer(request, number, deadline_of(request))

    return router


def _known(server: Inferrer, model: str, number: str | None) -> ServedModel:
    default = server.models.default.model
    if model != MODEL:
        raise HttpError(
            404, "unknown_model", "this server does not have the model", got=model[:80],
            allowed=f"{MODEL}, version {default.version} ({default.semver})", fix="ask for one that is served",
        )  # fmt: skip
    return server.models.find(number).model


def _metadata(served: ServedModel, models: HeldModels) -> dict[str, Any]:
    return {
        "name": MODEL,
        "versions": [held.model.version for held in models],
        "platform": served.masker.architecture,
        "inputs": [
            {"name": IMAGES, "datatype": "UINT8", "shape": [-1, -1, -1, 3]},
            {"name": KEYS, "datatype": "BYTES", "shape": [-1], "parameters": {"optional": True}},
        ],
        "outputs": [{"name": MASKED, "datatype": "UINT8", "shape": [-1, -1, -1, 3]}],
    }
