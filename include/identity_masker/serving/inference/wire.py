"""Requests and answers of the Open Inference Protocol: a JSON header, and behind it tensors as they lie in memory.

Tensors never pass through a validated list: binary ones are views of the body, those in JSON become an array at once.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from identity_masker.serving.problem import HttpError

HEADER_LENGTH = "inference-header-content-length"
IMAGES, KEYS, MASKED = "images", "keys", "masked"
DATATYPES = {IMAGES: "UINT8", KEYS: "BYTES"}
SEE = "see GET /v2/models/NAME for names, datatypes and shapes"

Pixels = NDArray[np.uint8]

_DIGITS = re.compile("[0-9]{1,18}")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class _Input(_Part):
    datatype: str
    shape: tuple[int, ...]
    data: Any = None

    @property
    def size(self) -> int:
        """Values that the shape asks for."""
        return math.prod(self.shape)

    @property
    def binary_size(self) -> int | None:
        size = self.parameters.get("binary_data_size")
        return size if isinstance(size, int) and size >= 0 else None


class _Header(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str = Field(default="", max_length=256)
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: tuple[_Input, ...]
    outputs: tuple[_Part, ...] = ()


class Inference(NamedTuple):
    """Pictures (N, H, W, 3) to mask, a key for each or None, how the answer is wanted, and how strongly masked."""

    id: str
    images: Pixels
    keys: list[str] | None
    binary: bool
    strength: float = 1.0


class Limits(NamedTuple):
    """What one request may ask for."""

    images: int
    pixels: int


def parse(body: bytes, headers: Mapping[str, str], limits: Limits) -> Inference:
    """The request in `body`.

    Raises `HttpError`: 400 for what is not of the protocol, 422 for a tensor that does not fit.
    """
    header, rest = _split(body, headers.get(HEADER_LENGTH))
    tensors = _tensors(header, rest)
    images = _images(tensors, limits)
    keys = _keys(tensors.get(KEYS), len(images))
    return Inference(header.id, images, keys, _binary(header), _strength(header))


def answer(model: str, version: str, request: Inference, masked: Pixels) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the answer."""
    output: dict[str, Any] = {"name": MASKED, "datatype": "UINT8", "shape": list(masked.shape)}
    document = {"model_name": model, "model_version": version, "id": request.id, "outputs": [output]}
    if not request.binary:
        output["data"] = masked.reshape(-1).tolist()
        return json.dumps(document).encode(), {"content-type": "application/json"}
    output["parameters"] = {"binary_data_size": masked.nbytes}
    head = json.dumps(document).encode()
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return head + np.ascontiguousarray(masked).tobytes(), headers


def _split(body: bytes, length: str | None) -> tuple[_Header, memoryview]:
    view = memoryview(body)
    end = len(body)
    if length is not None:
        if not _DIGITS.fullmatch(length) or int(length) > len(body):
            raise _wrong(f"{HEADER_LENGTH}: {length[:20]}", f"the length of the JSON part, at most {len(body)}")
        end = int(length)
    try:
        # Parsed by `json`: pydantic would walk through the values of every tensor.
        document = json.loads(bytes(view[:end]))
        return _Header.model_validate(document), view[end:]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[:5]
        words = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in first)
        raise _wrong(words, "a request of the Open Inference Protocol") from error
    except (ValueError, RecursionError) as error:
        raise _wrong("a body whose first part is not JSON", "a request of the Open Inference Protocol") from error


def _tensors(header: _Header, rest: memoryview) -> dict[str, tuple[_Input, memoryview | None]]:
    """Inputs by name, each with its part of the binary data."""
    found: dict[str, tuple[_Input, memoryview | None]] = {}
    at = 0
    for each in header.inputs:
        size = each.binary_size
        if each.name not in DATATYPES or each.name in found or each.datatype != DATATYPES[each.name]:
            raise _wrong(f"input {each.name[:40]} of {each.datatype[:10]}", "images of UINT8, and keys of BYTES once")
        if size is not None and at + size > len(rest):
            raise _wrong(f"{len(rest)} bytes of binary data", f"at least {at + size}")
        found[each.name] = (each, None if size is None else rest[at : at + size])
        at += size or 0
    if at != len(rest):
        raise _wrong(f"{len(rest) - at} bytes of binary data that belong to no input", "binary_data_size of each input")
    return found


def _images(tensors: Mapping[str, tuple[_Input, memoryview | None]], limits: Limits) -> Pixels:
    if IMAGES not in tensors:
        raise _unfit("there is no input `images`", got=", ".join(tensors) or "nothing", allowed="images (N, H, W, 3)")
    tensor, binary = tensors[IMAGES]
    shape = tensor.shape
    if len(shape) != 4 or shape[3] != 3 or min(shape) < 1:
        raise _unfit("the images have another shape", got=list(shape), allowed="[N, H, W, 3], each at least 1")
    if shape[0] > limits.images or shape[1] * shape[2] > limits.pixels:
        allowed = f"at most {limits.images} images of at most {limits.pixels} pixels"
        raise _unfit("the images are too many or too large", got=list(shape), allowed=allowed)
    flat = _values(tensor) if binary is None else np.frombuffer(binary, np.uint8)
    if flat.size != tensor.size:
        raise _unfit("the data do not fill the shape", got=f"{flat.size} values", allowed=f"{tensor.size}")
    return flat.reshape(shape)


def _values(tensor: _Input) -> Pixels:
    """The data of a tensor in JSON, flat or nested."""
    try:
        found = np.asarray(tensor.data)
    except ValueError as error:
        raise _unfit("the data of images are ragged", allowed="numbers, flat or nested as the shape") from error
    if found.dtype.kind not in "iu" or (found.size and not 0 <= found.min() <= found.max() <= 255):
        raise _unfit("the data of images are not bytes", got=found.dtype.name, allowed="whole numbers from 0 to 255")
    return found.astype(np.uint8).reshape(-1)


def _keys(given: tuple[_Input, memoryview | None] | None, count: int) -> list[str] | None:
    if given is None:
        return None
    tensor, binary = given
    if tensor.shape != (count,):
        raise _unfit("there is not one key for each image", got=list(tensor.shape), allowed=f"[{count}]")
    found = _texts(binary) if binary is not None else tensor.data
    if not isinstance(found, list) or len(found) != count or not all(_is_key(key) for key in found):
        raise _unfit("the keys are not texts", allowed=f"{count} texts of 1 to 256 characters")
    return found


def _is_key(key: object) -> bool:
    return isinstance(key, str) and 1 <= len(key) <= 256


def _texts(data: memoryview) -> list[str]:
    """Texts in the protocol's form: four bytes of length, little endian, before each."""
    found, at = [], 0
    try:
        while at < len(data):
            (length,) = struct.unpack_from("<I", data, at)
            text = data[at + 4 : at + 4 + length]
            if len(text) < length:
                raise _unfit("the binary keys end too early", allowed="length and text of each key")
            found.append(str(text, "utf-8"))
            at += 4 + length
    except (struct.error, UnicodeDecodeError) as error:
        raise _unfit("the binary keys cannot be read", allowed="length (4 bytes) and UTF-8 text of each key") from error
    return found


def _binary(header: _Header) -> bool:
    """Whether the answer's tensor is to be binary: for this output, or for all."""
    strangers = [output.name for output in header.outputs if output.name != MASKED]
    if strangers:
        raise _unfit("there is no such output", got=strangers[0][:40], allowed=MASKED)
    wanted = header.parameters.get("binary_data_output", False)
    for output in header.outputs:
        wanted = output.parameters.get("binary_data", wanted)
    return wanted is True


def _strength(header: _Header) -> float:
    """The request's parameter `strength`: 0 (as it was) to 1 (masked in full)."""
    strength = header.parameters.get("strength", 1.0)
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= 1:
        raise _unfit("the parameter strength is not one", got=str(strength)[:40], allowed="a number from 0 to 1")
    return float(strength)


def _wrong(got: str, allowed: str) -> HttpError:
    return HttpError(400, "not_inference", "the request is not of the protocol", got=got, allowed=allowed, fix=SEE)


def _unfit(what: str, *, got: object = None, allowed: str) -> HttpError:
    return HttpError(422, "invalid_tensor", what, got=got, allowed=allowed, fix=SEE)
