"""Routes that requests take all the time, past FastAPI's own way through layers and parameters.

FastAPI describes such a route, and it answers as FastAPI would; but the parameters are read by a function of ours, and
errors become answers here. FastAPI's reading of four parameters costs more than everything else that a server does for
a request, and its layers cost a tenth of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

Check = Callable[[Request], Awaitable[None]]
Reply = Callable[[Request], Awaitable[Response]]
Failure = Callable[[Request, Exception], Response | None]
"""The answer to an error; None for one that nobody foresaw."""


class IndexedHeaders(Headers):
    """Headers that are looked up by name in one step: a request is asked for a dozen of them."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        super().__init__(raw=raw)
        self._first = dict(reversed(raw))

    def __getitem__(self, key: str) -> str:
        return self._first[key.lower().encode("latin-1")].decode("latin-1")

    def get(self, key: str, default: Any = None) -> Any:
        found = self._first.get(key.lower().encode("latin-1"))
        return default if found is None else found.decode("latin-1")


class DirectRequest(Request):
    """A request on a direct route."""

    @property
    def headers(self) -> Headers:
        if not hasattr(self, "_indexed"):
            self._indexed = IndexedHeaders(self.scope["headers"])
        return self._indexed


class DirectRoute(APIRoute):
    """A route of which `reply` makes the answer. Raises what reading and answering raise."""

    reply: Reply


def direct(read: Callable[[Request], Mapping[str, Any]], *checks: Check | None) -> type[DirectRoute]:
    """A class of routes whose endpoint gets the request and what `read` finds in it, by name.

    `checks` come first, in order, and refuse a request by what they raise: dependencies of FastAPI do not run here.
    """
    given = [check for check in checks if check is not None]

    class Direct(DirectRoute):
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **settings)
            endpoint: Reply = self.endpoint

            async def reply(request: Request) -> Response:
                for check in given:
                    await check(request)
                return await endpoint(request=request, **read(request))  # type: ignore[call-arg]

            async def answer(scope: Scope, receive: Receive, send: Send) -> None:
                # What is raised here meets the same handlers of errors one layer further out.
                await (await reply(DirectRequest(scope, receive, send)))(scope, receive, send)

            self.reply, self.app = reply, answer

    return Direct


class Express:
    """An application whose direct routes answer at once; all other requests go through it as they always do."""

    def __init__(self, app: FastAPI, failure: Failure, internal: Callable[[Request], Response]) -> None:
        """`failure` answers an error, and `internal` one that `failure` does not know, which is raised after that."""
        self._app: ASGIApp = app
        self._failure, self._internal = failure, internal
        routes = [route for route in app.router.routes if isinstance(route, DirectRoute)]
        self._plain = {(way, r.path): r for r in routes for way in r.methods or () if not r.param_convertors}
        self._others = [route for route in routes if route.param_convertors]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._find(scope) if scope["type"] == "http" and not scope.get("root_path") else None
        if route is None:
            await self._app(scope, receive, send)
            return
        request = DirectRequest(scope, receive, send)
        try:
            response = await route.reply(request)
        except Exception as error:
            answer = self._failure(request, error)
            await (answer or self._internal(request))(scope, receive, send)
            if answer is None:
                raise
            # What is raised again and again would keep the frames of every request alive.
            error.__traceback__ = None
        else:
            await response(scope, receive, send)

    def _find(self, scope: Scope) -> DirectRoute | None:
        found = self._plain.get((scope["method"], scope["path"]))
        if found is not None:
            scope["route"], scope["path_params"] = found, {}
            return found
        for route in self._others:
            match, child = route.matches(scope)
            if match is Match.FULL:
                scope.update(child)
                scope["route"] = route
                return route
        return None
