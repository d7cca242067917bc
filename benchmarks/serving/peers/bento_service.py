"""BentoML with adaptive batching, by its leanest way: raw bytes in and out, without base64 or forms.

Run as `bentoml serve bento_service:Masker`; BENCH_WORK holds the words for `Work.of`, BENCH_BATCH the largest batch.
"""

from __future__ import annotations

import os
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from work import Work

WORDS = os.environ["BENCH_WORK"].split()
BATCH = int(os.environ["BENCH_BATCH"])


def _in_a_batch(body: Any) -> list[Any]:
    return body if isinstance(body, list) else [body]


def _alone(batch: list[bytes]) -> bytes:
    return batch[0]


# Said to be a string, a body is handed on as it came; else it is parsed as JSON.
Bodies = Annotated[
    list[Any], BeforeValidator(_in_a_batch), WithJsonSchema({"type": "string"}), ContentType("image/jpeg")
]
Answers = Annotated[list[Any], PlainSerializer(_alone), ContentType("image/jpeg")]


@bentoml.service(workers=1, traffic={"timeout": 60, "max_concurrency": 4096}, logging={"access": {"enabled": False}})
class Masker:
    """The model, which gets what its callers send in batches."""

    def __init__(self) -> None:
        self.work = Work.of(WORDS)

    @bentoml.api(route="/predict", batchable=True, batch_dim=0, max_batch_size=BATCH, max_latency_ms=60_000)
    def predict(self, bodies: Bodies, /) -> Answers:
        work = self.work
        return work.answers(work.masked([work.read(each) for each in bodies]))
