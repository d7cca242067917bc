"""FastAPI and nothing else. `python plain_app.py PORT null|masker [FOLDER]`."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI, Request, Response
from work import Work


def application(work: Work) -> FastAPI:
    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        (answer,) = work.answers(work.masked([work.read(await request.body())]))
        return Response(answer, media_type=work.media_type)

    return app


if __name__ == "__main__":
    uvicorn.run(application(Work.of(sys.argv[2:])), port=int(sys.argv[1]), log_level="warning", access_log=False)
