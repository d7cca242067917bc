"""A gateway that asks for tokens, over HTTP: who may what, and that no token is ever written down."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from tests.integration.test_gateway import PICTURE, PNG
from tests.unit.release.world import World as Release
from tests.unit.serving.support import eventually, running

from identity_masker.release.status import Status, status
from identity_masker.security.jwks import Published
from identity_masker.security.keys import KeyFolder
from identity_masker.security.roles import load_roles
from identity_masker.security.tokens import Issued, Verifier, issue
from identity_masker.serving.control import Control
from identity_masker.serving.gateway import Gateway, GatewayConfig
from identity_masker.serving.gateway_routes import PERMISSIONS
from identity_masker.serving.guard import Guard
from identity_masker.serving.quota.ledgers import LocalLedger
from identity_masker.serving.quota.limiter import Limiter
from identity_masker.serving.quota.rates import Rate, Rates
from identity_masker.serving.revocations import Revocations
from identity_masker.settings import PROJECT
from identity_masker.telemetry import logs

ROLES = PROJECT / "include" / "config" / "roles.yaml"


class World(NamedTuple):
    http: httpx.Client
    keys: KeyFolder
    revocations: Revocations
    written: io.StringIO

    def token(self, role: str) -> Issued:
        return issue(self.keys, "ada", role, seconds=600)

    def ask(self, path: str, token: str | None, method: str = "GET") -> httpx.Response:
        headers = {**PNG, **({"authorization": f"Bearer {token}"} if token is not None else {})}
        return self.http.request(method, path, headers=headers, content=PICTURE if method == "POST" else None)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    written = io.StringIO()
    logs.configure(level="DEBUG", correlation_id="", stream=written, json_lines=True)
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{tmp_path}/control.db"
        control = stack.enter_context(Control(url))
        keys = KeyFolder(tmp_path / "keys")
        keys.signing()
        revocations = Revocations(control)
        verifier = Verifier(Published(str(tmp_path / "keys")), revoked=revocations)
        gateway = Gateway(GatewayConfig(), url, guard=Guard(verifier, load_roles(ROLES), PERMISSIONS))
        base = stack.enter_context(running(gateway.app))
        yield World(stack.enter_context(httpx.Client(base_url=base, timeout=10)), keys, revocations, written)


def test_health_and_documentation_need_no_token(world: World) -> None:
    eventually(f"{world.http.base_url}/health/live")
    for path in ("/health/live", "/docs", "/docs/start.js", "/docs/swagger-ui.css"):
        assert world.ask(path, None).status_code == 200, path


def test_every_other_route_needs_one(world: World) -> None:
    for route in PERMISSIONS:
        answer = world.ask(route, None, "POST" if route in ("/v1/mask", "/v1/events") else "GET")
        assert (answer.status_code, answer.json()["reason"]) == (401, "token_missing"), route
        assert answer.headers["www-authenticate"] == 'Bearer realm="identity-masker"'
        assert "masker token issue" in answer.json()["fix"]


def test_a_role_reaches_what_it_may_and_nothing_else(world: World) -> None:
    client, viewer = world.token("client").token, world.token("viewer").token
    # There is no model here: 503 says that the request was let through.
    assert world.ask("/v1/mask", client, "POST").status_code == 503
    assert world.ask("/metrics", viewer).status_code == 200
    for path, method, token in (("/v1/mask", "POST", viewer), ("/metrics", "GET", client)):
        answer = world.ask(path, token, method)
        assert (answer.status_code, answer.json()["reason"]) == (403, "forbidden")
        assert "one of the roles admin" in answer.json()["detail"]


def test_a_path_that_is_no_route_stays_unknown(world: World) -> None:
    assert world.ask("/v1/nothing", None).status_code == 404


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Basic YTpi", "token_malformed"),
        ("Bearer", "token_malformed"),
        ("Bearer x.y.z", "token_malformed"),
        ("Bearer " + "x" * 5000, "token_malformed"),
    ],
)
def test_a_header_that_holds_no_token_is_refused(world: World, header: str, reason: str) -> None:
    answer = world.http.get("/v1/routing", headers={"authorization": header})
    assert (answer.status_code, answer.json()["reason"]) == (401, reason)
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_revoked_token_stops_working(world: World) -> None:
    issued = world.token("viewer")
    assert world.ask("/metrics", issued.token).status_code == 200
    world.revocations.add(issued.principal.token_id, expires_at=time.time() + 600, author="t", reason="lost")
    deadline = time.monotonic() + 20
    while (answer := world.ask("/metrics", issued.token)).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert answer.json()["reason"] == "token_revoked"


def test_no_token_is_ever_logged(world: World) -> None:
    tokens = [world.token(role).token for role in ("client", "viewer")]
    for token in tokens:
        for path in ("/v1/routing", "/metrics", "/v1/nothing", f"/v1/routing?token={token}"):
            world.ask(path, token)
            world.ask(path, token[:-5])
    text = world.written.getvalue()
    assert '"role": "viewer"' in text
    assert not [token for token in tokens if token[:-5] in text or token.split(".")[2][:-5] in text]


def test_a_client_over_its_quota_is_told_when_to_come_back(tmp_path: Path) -> None:
    rates = Rates(default=Rate(per_second=1 / 3600, burst=2))
    limiter = Limiter(rates, LocalLedger())
    url = f"sqlite:///{tmp_path}/control.db"
    with Control(url), running(Gateway(GatewayConfig(), url, limiter=limiter).app) as base:
        eventually(f"{base}/health/live")
        answers = [httpx.post(f"{base}/v1/mask", content=PICTURE, headers=PNG) for _ in range(3)]
        other = httpx.post(f"{base}/v1/events", json={"events": []}, headers={"x-user-id": "ada"})
        assert httpx.get(f"{base}/health/live").status_code == 200
    assert [answer.status_code for answer in answers] == [503, 503, 429]
    refused = answers[-1]
    assert refused.json()["reason"] == other.json()["reason"] == "over_quota"
    assert 3590 < int(refused.headers["retry-after"]) <= 3600
    assert refused.headers["ratelimit-limit"] == "2"
    assert refused.headers["ratelimit-remaining"] == "0"
    assert refused.headers["ratelimit-policy"] == "2;w=7200"


def test_the_newest_release_is_told_as_the_command_tells_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/control.db"
    store = f"file://{tmp_path}/store"
    with Control(url) as control:

        def newest() -> Status:
            return status(control, store, datetime.now(UTC))

        with running(Gateway(GatewayConfig(), url, release=newest).app) as base:
            eventually(f"{base}/health/live")
            before = httpx.get(f"{base}/v1/release")
            assert (before.status_code, before.json()["reason"]) == (404, "no_release")
            Release(tmp_path, control).start()
            found = httpx.get(f"{base}/v1/release").json()
        assert found["progress"]["phase"] == "deploying"
        assert Status.model_validate(found).policy == "test"
