from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.serving.inference.wire import HEADER_LENGTH, Inference, Limits, answer, parse
from identity_masker.serving.problem import HttpError

LIMITS = Limits(images=8, pixels=64 * 64)
SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.just(3))


def request(images: np.ndarray, keys: list[str] | None = None, *, binary: bool, **extra: Any) -> Inference:
    """Parse what a client would send for `images`."""
    inputs: list[dict[str, Any]] = [{"name": "images", "datatype": "UINT8", "shape": list(images.shape)}]
    rest = b""
    if binary:
        inputs[0]["parameters"] = {"binary_data_size": images.nbytes}
        rest += images.tobytes()
    else:
        inputs[0]["data"] = images.tolist()
    if keys is not None:
        encoded = b"".join(struct.pack("<I", len(key.encode())) + key.encode() for key in keys)
        tensor: dict[str, Any] = {"name": "keys", "datatype": "BYTES", "shape": [len(keys)]}
        inputs.append({**tensor, **({"parameters": {"binary_data_size": len(encoded)}} if binary else {"data": keys})})
        rest += encoded if binary else b""
    return sent({"id": "a", "inputs": inputs, **extra}, rest, framed=binary)


def sent(document: Any, rest: bytes = b"", *, framed: bool = False) -> Inference:
    head = json.dumps(document).encode()
    return parse(head + rest, {HEADER_LENGTH: str(len(head))} if framed else {}, LIMITS)


def tensor(**changes: Any) -> dict[str, Any]:
    base = {"name": "images", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, 3]}
    return {"inputs": [base | changes]}


def with_keys(shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"inputs": [*tensor()["inputs"], {"name": "keys", "datatype": "BYTES", "shape": shape, "data": data}]}


@given(shape=SHAPES, seed=st.integers(0, 999), binary=st.booleans(), keyed=st.booleans())
def test_images_and_keys_come_through_as_they_were_sent(
    shape: tuple[int, ...], seed: int, binary: bool, keyed: bool
) -> None:
    images = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    keys = [f"ключ-{k}" for k in range(shape[0])] if keyed else None
    found = request(images, keys, binary=binary)
    assert np.array_equal(found.images, images)
    assert (found.id, found.keys, found.binary) == ("a", keys, False)


@given(shape=SHAPES, seed=st.integers(0, 999), binary=st.booleans())
def test_an_answer_holds_the_masked_images(shape: tuple[int, ...], seed: int, binary: bool) -> None:
    masked = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    body, headers = answer("masker", "3", Inference("a", masked, None, binary), masked)
    size = int(headers.get(HEADER_LENGTH, len(body)))
    document = json.loads(body[:size])
    (output,) = document["outputs"]
    assert (document["id"], document["model_version"], output["shape"]) == ("a", "3", list(shape))
    values = np.frombuffer(body[size:], np.uint8) if binary else np.array(output["data"])
    assert np.array_equal(values.reshape(shape), masked)


@pytest.mark.parametrize(
    ("wish", "binary"),
    [
        ({}, False),
        ({"parameters": {"binary_data_output": True}}, True),
        ({"outputs": [{"name": "masked", "parameters": {"binary_data": True}}]}, True),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "masked", "parameters": {"binary_data": False}}],
            },
            False,
        ),
    ],
)
def test_the_client_chooses_the_form_of_the_answer(wish: dict[str, Any], binary: bool) -> None:
    assert sent(tensor() | wish).binary is binary


@pytest.mark.parametrize(
    ("document", "status", "message"),
    [
        ([], 400, "valid dictionary"),
        ({}, 400, "inputs"),
        ({"inputs": []}, 422, "no input `images`"),
        (tensor(name="faces"), 400, "input faces of UINT8"),
        (tensor(datatype="FP32"), 400, "images of FP32"),
        ({"inputs": tensor()["inputs"] * 2}, 400, "input images of UINT8"),
        (tensor(shape=[1, 1, 3]), 422, "[1, 1, 3]"),
        (tensor(shape=[1, 1, 1, 4], data=[1, 2, 3, 4]), 422, "[1, 1, 1, 4]"),
        (tensor(shape=[0, 1, 1, 3], data=[]), 422, "[0, 1, 1, 3]"),
        (tensor(shape=[-1, 1, -1, 3]), 422, "[-1, 1, -1, 3]"),
        (tensor(shape=[9, 1, 1, 3], data=[0] * 27), 422, "at most 8 images"),
        (tensor(shape=[1, 65, 64, 3]), 422, "at most 4096 pixels"),
        (tensor(data=[1, 2]), 422, "2 values"),
        (tensor(data=[1, 2, 256]), 422, "from 0 to 255"),
        (tensor(data=[1, 2, -1]), 422, "from 0 to 255"),
        (tensor(data=[1, 2, 0.5]), 422, "float64"),
        (tensor(data=[1, 2, "3"]), 422, "not bytes"),
        (tensor(data=[[1], [2, 3]]), 422, "ragged"),
        (tensor(data=None), 422, "not bytes"),
        (tensor() | {"outputs": [{"name": "faces"}]}, 422, "no such output"),
        (
            with_keys([2], ["a", "b"]),
            422,
            "one key for each",
        ),
        (
            with_keys([1], [7]),
            422,
            "keys are not texts",
        ),
        (
            with_keys([1], [""]),
            422,
            "keys are not texts",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_wrong(document: Any, status: int, message: str) -> None:
    with pytest.raises(HttpError) as caught:
        sent(document)
    assert caught.value.status == status
    assert message in str(caught.value)


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999", "٣", "²", "9" * 5000])
def test_a_header_length_that_cannot_be_is_refused(length: str) -> None:
    with pytest.raises(HttpError, match="length of the JSON part"):
        parse(b"{}", {HEADER_LENGTH: length}, LIMITS)


@pytest.mark.parametrize(("size", "rest"), [(3, b"12"), (3, b"1234"), (2, b"12")])
def test_binary_data_have_to_be_exactly_what_is_announced(size: int, rest: bytes) -> None:
    document = tensor(data=None, parameters={"binary_data_size": size})
    with pytest.raises(HttpError, match=r"binary data|do not fill"):
        sent(document, rest, framed=True)


@given(st.binary(max_size=200), st.integers(0, 220))
def test_no_bytes_break_the_parser(body: bytes, length: int) -> None:
    with pytest.raises(HttpError):
        parse(body, {HEADER_LENGTH: str(length)}, LIMITS)
