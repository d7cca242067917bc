"""A model server of a masker that is seen through."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.unit.serving.server.asking import SMALL
from tests.unit.serving.support import NegativeMasker, running, served_model

from identity_masker.serving.server import ModelServer


@pytest.fixture
def masker() -> NegativeMasker:
    return NegativeMasker()


@pytest.fixture
def server(masker: NegativeMasker) -> Iterator[ModelServer]:
    made = ModelServer(SMALL)
    made.use(served_model(masker, "3"))
    masker.calls.clear()
    yield made
    masker.gate.set()
    made.close()


@pytest.fixture
def http(server: ModelServer) -> Iterator[httpx.Client]:
    with running(server.app) as url, httpx.Client(base_url=url, timeout=15) as client:
        yield client
