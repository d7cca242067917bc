"""What the model server and the gateway share: problem documents for every error, metrics and the docs page."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from http import HTTPStatus
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse
from starlette.exceptions import HTTPException

from identity_masker.errors import BadInputError
from identity_masker.faces.decode import UndecodableError
from identity_masker.serving import problem
from identity_masker.serving.body import ClientGoneError
from identity_masker.serving.guard import Guard
from identity_masker.serving.problem import HttpError, overloaded
from identity_masker.serving.queueing import QueueFullError, TooLateError
from identity_masker.serving.worker import MaskingFailedError
from identity_masker.telemetry import logs
from identity_masker.telemetry.http import CLIENT_GONE, Exchange
from identity_masker.telemetry.metrics import CONTENT_TYPE, HttpMetrics

log = logs.logger(__name__)

_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'"
)
_DOCS_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="docs/swagger-ui.css"><link rel="icon" href="data:,">
</head>
<body><div id="swagger-ui"></div><script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script>
</body>
</html>
"""
_DOCS_START = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, tryItOutEnabled: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset]
});
"""
_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The description, where wrong parameters get the problem that they really get, not FastAPI's own error."""
        if self.openapi_schema is None:
            described = super().openapi()
            for operations in described["paths"].values():
                for operation in operations.values():
                    if "HTTPValidationError" in str(operation["responses"].get("422")):
                        operation["responses"]["422"] = problem.documented(422)[422]
            schemas = described.get("components", {}).get("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
        found: dict[str, Any] = super().openapi()
        return found


def application(title: str, description: str, metrics: HttpMetrics | None, guard: Guard | None = None) -> FastAPI:
    """An application with `/docs`, `/openapi.json` and an answer in words to every error, and `/metrics` of `metrics`.

    With a `guard` every route needs what it says, before anything of the request is read.
    """
    app = _Application(
        title=title,
        description=description,
        version=version("identity-masker"),
        openapi_tags=[{"name": "masking"}, {"name": "inference"}, {"name": "events"}, {"name": "operations"}],
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(guard)] if guard else [],
    )
    _handle_errors(app)
    _add_docs(app)

    if metrics is not None:
        _add_metrics(app, metrics)
    return app


def _add_metrics(app: FastAPI, metrics: HttpMetrics) -> None:
    @app.get("/metrics", tags=["operations"], summary="Metrics for Prometheus", response_class=Response)
    def exposition() -> Response:
        # Not a coroutine: rendering takes milliseconds, so it runs in a thread.
        return Response(metrics.exposition(), media_type=CONTENT_TYPE)


def _handle_errors(app: FastAPI) -> None:
    async def handler(request: Request, error: Exception) -> Response:
        return failure(request, error) or internal(request)

    kinds: list[type[Exception]] = [ClientGoneError, *_ANSWERS, Exception]
    for kind in kinds:
        app.add_exception_handler(kind, handler)


def failure(request: Request, error: Exception) -> Response | None:
    """The answer to an error that is foreseen, and its reason in the log line of the request; else None."""
    if isinstance(error, ClientGoneError):
        return Response(status_code=CLIENT_GONE)
    convert = _converter(error)
    return _problem(request, convert(error)) if convert else None


def internal(request: Request) -> Response:
    """The answer to an error that nobody foresaw."""
    return _problem(request, problem.internal())


def _problem(request: Request, answer: HttpError) -> Response:
    exchange: Exchange = request.state.exchange
    exchange.note(reason=answer.reason)
    return problem.response(answer, exchange.request_id)


def answer_to(error: Exception) -> HttpError:
    """What a client is told of `error`."""
    convert = _converter(error)
    return convert(error) if convert else problem.internal()


def _converter(error: Exception) -> Callable[[Exception], HttpError] | None:
    return next((_ANSWERS[kind] for kind in type(error).__mro__ if kind in _ANSWERS), None)


def _itself(error: Exception) -> HttpError:
    assert isinstance(error, HttpError)  # noqa: S101 - the registration above says so
    return error


def _from_router(error: Exception) -> HttpError:
    assert isinstance(error, HTTPException)  # noqa: S101
    phrase = HTTPStatus(error.status_code).phrase
    return HttpError(
        error.status_code,
        phrase.lower().replace(" ", "_"),
        phrase.lower(),
        fix="see /docs for the paths and methods of this service",
        headers=error.headers,
    )


def _from_validation(error: Exception) -> HttpError:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return HttpError(422, "invalid_parameter", "a parameter is not valid", got=wrong, fix="see /docs")


def _from_decoding(error: Exception) -> HttpError:
    assert isinstance(error, UndecodableError)  # noqa: S101
    return HttpError(422, error.reason, error.what, got=error.got, allowed=error.allowed, fix=error.fix or "")


def _from_bad_input(error: Exception) -> HttpError:
    assert isinstance(error, BadInputError)  # noqa: S101
    return HttpError(
        422, "not_maskable", error.what, got=error.got, allowed=error.allowed, fix=error.fix or "see /docs"
    )


def _from_masking(error: Exception) -> HttpError:
    # No more than its type: the message of a model's error may quote what it worked on.
    cause = error.__cause__ or error
    log.error("masking_failed", cause=type(cause).__name__, at=_place(cause))
    return HttpError(
        500, "masking_failed", "the model could not mask this picture", fix="report the request id to the operator"
    )


def _place(error: BaseException) -> str:
    """Where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].name}" if frames else ""


def _from_lateness(error: Exception) -> HttpError:
    assert isinstance(error, TooLateError)  # noqa: S101
    if error.reason == "deadline_unreachable":
        return overloaded(error.what, error.reason, seconds=error.seconds)
    fix = "ask for more time in x-request-timeout" if error.reason == "deadline_too_short" else "try again later"
    return HttpError(504, error.reason, error.what, allowed=error.allowed, fix=fix)


def _from_full_queue(error: Exception) -> HttpError:
    assert isinstance(error, QueueFullError)  # noqa: S101
    return overloaded(error.what, "queue_full", seconds=error.seconds)


_ANSWERS: dict[type[Exception], Callable[[Exception], HttpError]] = {
    HttpError: _itself,
    HTTPException: _from_router,
    RequestValidationError: _from_validation,
    UndecodableError: _from_decoding,
    BadInputError: _from_bad_input,
    MaskingFailedError: _from_masking,
    TooLateError: _from_lateness,
    QueueFullError: _from_full_queue,
}


def _add_docs(app: FastAPI) -> None:
    """Swagger UI from an installed package: nothing is loaded from another site."""
    page = _DOCS_PAGE.format(title=app.title)
    headers = {"content-security-policy": _DOCS_POLICY}

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page, headers=headers)

    @app.get("/docs/start.js", include_in_schema=False)
    async def start() -> Response:
        return Response(_DOCS_START, media_type="text/javascript")

    for name, media_type in _ASSETS.items():
        _add_asset(app, name, media_type)


def _add_asset(app: FastAPI, name: str, media_type: str) -> None:
    path = str(resources.files("fastapi_offline") / "static" / name)

    @app.get(f"/docs/{name}", include_in_schema=False)
    async def asset() -> FileResponse:
        return FileResponse(path, media_type=media_type, headers={"cache-control": "public, max-age=86400"})
