"""What every route has: guard, headers, metrics, description, log."""

from __future__ import annotations

import io
import json
import re

import httpx
from fastapi import Request
from tests.unit.serving.server.asking import PNG, SMALL, problem, wait_for
from tests.unit.serving.support import NegativeMasker, noise, poisoned, running, served_model

from identity_masker.serving import bundle
from identity_masker.serving.guard import Guard
from identity_masker.serving.pictures import encode
from identity_masker.serving.problem import HttpError, Problem
from identity_masker.serving.server import ModelServer
from identity_masker.telemetry import logs


def test_a_guard_stands_before_every_route_also_before_those_that_fastapi_does_not_handle() -> None:
    class Closed(Guard):
        def __init__(self) -> None:
            pass

        async def __call__(self, request: Request) -> None:
            raise HttpError(401, "token_missing", "there is no token", fix="send one")

    masker = NegativeMasker()
    server = ModelServer(SMALL, Closed())
    server.use(served_model(masker))
    masker.calls.clear()
    with running(server.app) as url, httpx.Client(base_url=url) as http:
        paths = [("POST", "/v1/mask"), ("POST", "/v2/models/masker/infer"), ("GET", "/v2/models/masker")]
        for method, path in [*paths, ("POST", "/v2/models/masker/versions/1/infer"), ("GET", "/metrics")]:
            problem(http.request(method, path, headers=PNG), 401, "token_missing")
    assert not masker.calls
    server.close()


def test_unknown_paths_and_methods_are_problems_too(http: httpx.Client) -> None:
    problem(http.get("/nope/secret"), 404, "not_found")
    answer = http.get("/v1/mask")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_every_response_has_the_security_headers_and_no_cors(http: httpx.Client) -> None:
    for answer in (
        http.get("/health/ready", headers={"origin": "https://evil.example"}),
        http.post("/v1/mask", content=b"", headers={**PNG, "origin": "https://evil.example"}),
        http.options("/v1/mask", headers={"origin": "https://e.x", "access-control-request-method": "POST"}),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "server" not in answer.headers


def test_metrics_count_requests_by_route_template_and_status(http: httpx.Client) -> None:
    http.post("/v1/mask?key=alice", content=encode(noise(), "PNG"), headers=PNG)
    http.post("/v1/mask", content=b"", headers=PNG)
    http.get("/some/alice/path")
    text = http.get("/metrics").text
    assert 'masker_server_requests_total{route="/v1/mask",status="200"} 1.0' in text
    assert 'masker_server_requests_total{route="/v1/mask",status="400"} 1.0' in text
    assert 'masker_server_requests_total{route="unmatched",status="404"} 1.0' in text
    assert f'masker_model_info{{semver="1.0.3",sha256="{"0" * 64}",version="3"}} 1.0' in text
    assert "masker_server_batch_size_count 1.0" in text
    assert "alice" not in text


def test_the_description_of_the_api_is_whole_and_the_docs_need_no_other_site(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    mask = document["paths"]["/v1/mask"]["post"]
    pictures, bundles = {"image/png", "image/jpeg", "image/webp"}, {*bundle.KINDS}
    assert set(mask["requestBody"]["content"]) == pictures | bundles
    assert set(mask["responses"]) == {"200", "400", "404", "408", "413", "415", "422", "500", "503", "504"}
    assert set(mask["responses"]["422"]["content"]) == {"application/problem+json"}
    assert {p["name"] for p in mask["parameters"]} == {
        "key", "x-consistency-key", "strength", "x-masking-strength", "version", "x-request-timeout",
    }  # fmt: skip
    for status in ("400", "408", "413", "415", "422", "500", "503", "504"):
        example = Problem.model_validate(mask["responses"][status]["content"]["application/problem+json"]["example"])
        assert example.status == int(status)
    page = http.get("/docs")
    assert "http" not in re.sub(r"<!--.*?-->", "", page.text)
    for source in re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text):
        assert http.get(f"/{source}").status_code == 200


def test_the_log_names_the_request_but_nothing_of_its_content(http: httpx.Client, masker: NegativeMasker) -> None:
    stream = io.StringIO()
    logs.configure(level="DEBUG", correlation_id="", stream=stream, json_lines=True)
    secrets = {"x-consistency-key": "planted-key", "authorization": "Bearer planted-token"}
    content = encode(noise(), "PNG")
    http.post("/v1/mask?key=planted-query", content=content, headers={**PNG, **secrets, "x-request-id": "good"})
    http.post("/v1/mask", content=encode(poisoned(), "PNG"), headers={**PNG, **secrets, "x-request-id": "bad"})
    http.post("/v1/mask/planted-path", content=content, headers={**PNG, **secrets})
    wait_for(lambda: "unmatched" in stream.getvalue())
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    requests = {line["request_id"]: line for line in lines if line["event"] == "request"}
    assert requests["good"]["status"] == 200
    assert requests["good"]["model_version"] == "1.0.3"
    assert requests["bad"]["reason"] == "masking_failed"
    assert [line["request_id"] for line in lines if line["event"] == "masking_failed"] == ["bad"]
    assert "planted" not in stream.getvalue()
