"""A model server asked by the protocol's own client, `tritonclient`, which needs an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.unit.serving.support import NegativeMasker, eventually, noise, poisoned, running, served_model

from identity_masker.serving.inference.wire import HEADER_LENGTH
from identity_masker.serving.server import ModelServer, ServerConfig

# greenlet of gevent is another version than that of our lock.
CLIENT = "tritonclient[http]==2.73.0"
ASK = """
import json, sys
import numpy as np
import tritonclient.http as triton

address, binary = sys.argv[1], sys.argv[2] == "binary"
client = triton.InferenceServerClient(address)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("masker")
metadata = client.get_model_metadata("masker")
images = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
given = triton.InferInput("images", list(images.shape), "UINT8")
given.set_data_from_numpy(images, binary_data=binary)
keys = triton.InferInput("keys", [2], "BYTES")
keys.set_data_from_numpy(np.array([b"a", b"b"], dtype=np.object_), binary_data=binary)
wanted = triton.InferRequestedOutput("masked", binary_data=binary)
answer = client.infer("masker", [given, keys], outputs=[wanted], request_id="r-1")
masked = answer.as_numpy("masked")
try:
    client.infer("other", [given])
except triton.InferenceServerException as error:
    refusal = error.message()
print(json.dumps({
    "metadata": metadata, "same": bool((masked == 255 - images).all()), "id": answer.get_response()["id"],
    "refusal": refusal,
}))
"""


@pytest.fixture
def masker() -> NegativeMasker:
    return NegativeMasker()


@pytest.fixture
def url(masker: NegativeMasker) -> Iterator[str]:
    with ExitStack() as stack:
        server = ModelServer(ServerConfig(images=4))
        server.use(served_model(masker, "7"))
        stack.callback(server.close)
        base = stack.enter_context(running(server.app))
        eventually(f"{base}/health/ready")
        yield base


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment with the client."""
    folder = tmp_path_factory.mktemp("triton")
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder / "venv"], check=True, timeout=120)
    python = str(folder / "venv" / "bin" / "python")
    subprocess.run([uv, "pip", "install", "-q", "--python", python, CLIENT], check=True, timeout=250)
    return python


@pytest.mark.parametrize("form", ["binary", "json"])
def test_tritonclient_masks_a_batch(url: str, triton: str, masker: NegativeMasker, form: str) -> None:
    done = subprocess.run(
        [triton, "-c", ASK, url.removeprefix("http://"), form], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["same"], found["id"], found["metadata"]["versions"]) == (True, "r-1", ["7"])
    assert "this server does not have the model" in found["refusal"]
    assert sorted(key for call in masker.calls for key in call if key in "ab") == ["a", "b"]


def ask(url: str, images: np.ndarray) -> httpx.Response:
    tensor = {
        "name": "images", "datatype": "UINT8", "shape": list(images.shape),
        "parameters": {"binary_data_size": images.nbytes},
    }  # fmt: skip
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {HEADER_LENGTH: str(len(head))}
    return httpx.post(f"{url}/v2/models/masker/infer", content=head + images.tobytes(), headers=headers, timeout=30)


def test_a_batch_is_the_same_to_the_bit_as_its_pictures_alone(url: str) -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    together = ask(url, images).json()["outputs"][0]["data"]
    alone = [ask(url, image[None]).json()["outputs"][0]["data"] for image in images]
    assert together == [value for values in alone for value in values]


def test_one_image_that_fails_fails_its_request_and_no_other(url: str) -> None:
    assert ask(url, np.stack([noise(), poisoned()])).status_code == 500
    assert ask(url, np.stack([noise(), noise()])).status_code == 200


@pytest.mark.parametrize(
    ("path", "reason", "there"),
    [("other", "unknown_model", "masker, version 7"), ("masker/versions/8", "unknown_version", "7 (1.0.7)")],
)
def test_an_unknown_model_or_version_is_told_what_there_is(url: str, path: str, reason: str, there: str) -> None:
    for answer in (httpx.get(f"{url}/v2/models/{path}"), httpx.post(f"{url}/v2/models/{path}/infer", content=b"{}")):
        document = answer.json()
        assert (answer.status_code, document["reason"]) == (404, reason)
        assert there in document["error"]


def test_too_many_images_are_refused_before_the_model_sees_one(url: str, masker: NegativeMasker) -> None:
    calls = len(masker.calls)
    answer = ask(url, np.zeros((5, 8, 8, 3), dtype=np.uint8))
    assert (answer.status_code, answer.json()["reason"]) == (422, "invalid_tensor")
    assert len(masker.calls) == calls
