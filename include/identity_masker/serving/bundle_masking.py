"""Masks a bundle of pictures: each alone, so that a bad one does not keep the good ones from being done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from fastapi import Request, Response

from identity_masker.errors import MaskerError
from identity_masker.faces.decode import UndecodableError
from identity_masker.faces.formats import READABLE, extension_fits
from identity_masker.serving import bundle, pictures, problem
from identity_masker.serving.api import BODY as ONE
from identity_masker.serving.application import answer_to
from identity_masker.serving.bundle import BundleLimits, Entry
from identity_masker.serving.codec import Codec, Decoded, stated_pixels
from identity_masker.serving.held_models import HeldModel
from identity_masker.serving.mask_options import MaskOptions
from identity_masker.serving.problem import HttpError
from identity_masker.serving.queueing import Picture
from identity_masker.serving.worker import Pixels
from identity_masker.telemetry.http import Exchange

if TYPE_CHECKING:
    from identity_masker.serving.server import ServerConfig

WINDOW_PIXELS = 4 << 20
"""Of the pictures of one bundle that are decoded at a time: a large bundle takes no more memory than that."""

UNPACKED = 4
"""Times the largest body that a bundle may hold when it is unpacked: pictures hardly shrink in an archive."""

_FILES = {"schema": {"type": "object", "additionalProperties": {"type": "string", "format": "binary"}}}
_ARCHIVE = {"schema": {"type": "string", "format": "binary"}}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The picture; or several as a form or an archive, which come back as an archive. One that "
        "cannot be masked is in it as NAME.problem.json.",
        "content": {
            **ONE["requestBody"]["content"],
            **{kind: _FILES if kind == bundle.FORM else _ARCHIVE for kind in bundle.KINDS},
        },
    }
}


class Masks(Protocol):
    """What is needed of the model server."""

    config: ServerConfig
    codec: Codec

    async def body(self, request: Request, deadline: float) -> bytes: ...

    async def outcomes(
        self, request: Request, held: HeldModel, jobs: list[Picture], deadline: float
    ) -> list[Pixels | MaskerError]: ...


Result = bytes | MaskerError


async def mask_bundle(server: Masks, request: Request, options: MaskOptions, held: HeldModel, kind: str) -> Response:
    """The archive of the masked pictures. Raises `HttpError` when not one of them could be masked, and as `mask`."""
    exchange: Exchange = request.state.exchange
    body = await server.body(request, options.deadline)
    entries = await _unpacked(kind, request, body, server.config)
    packed: list[Entry] = []
    failed: list[HttpError] = []
    for window in _windows(entries):
        results = await _masked(server, request, options, held, window)
        for entry, (name, result) in zip(window, results, strict=True):
            if isinstance(result, MaskerError):
                failed.append(answer_to(result))
                told = problem.document(failed[-1], exchange.request_id).model_dump_json(indent=2).encode()
                packed.append(Entry(f"{entry.name}.problem.json", told))
            else:
                packed.append(Entry(_renamed(entry.name, name), result))
    if len(failed) == len(entries):
        raise _nothing_masked(failed)
    content = await asyncio.to_thread(bundle.pack, kind, packed)
    exchange.note(images=len(entries), failed=len(failed), bytes_out=len(content))
    counts = {"x-masked": str(len(entries) - len(failed)), "x-failed": str(len(failed))}
    return Response(content, media_type=bundle.packed_kind(kind), headers=counts)


async def _unpacked(kind: str, request: Request, body: bytes, config: ServerConfig) -> list[Entry]:
    most = config.limits.max_bytes
    limits = BundleLimits(config.images, most, UNPACKED * most)
    if kind == bundle.FORM:
        return await bundle.unpack_form(request.headers["content-type"], body, limits)
    return await asyncio.to_thread(bundle.unpack, kind, body, limits)


def _windows(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """The entries in parts of about `WINDOW_PIXELS`."""
    window: list[Entry] = []
    pixels = 0
    for entry in entries:
        window.append(entry)
        pixels += stated_pixels(entry.content) or 0
        if pixels >= WINDOW_PIXELS:
            yield window
            window, pixels = [], 0
    if window:
        yield window


async def _masked(
    server: Masks, request: Request, options: MaskOptions, held: HeldModel, window: list[Entry]
) -> list[tuple[str, Result]]:
    """Format and content of each masked picture of a window, or why there is none."""
    read = await asyncio.to_thread(lambda: [_decoded(server.codec, entry) for entry in window])
    jobs = [Picture(each.pixels, options.key_or_new(), options.strength) for each in read if isinstance(each, Decoded)]
    outcomes = iter(await server.outcomes(request, held, jobs, options.deadline))
    after = [(each, next(outcomes)) if isinstance(each, Decoded) else (None, each) for each in read]
    accept = request.headers.get("accept")
    return await asyncio.to_thread(lambda: [_encoded(before, result, accept) for before, result in after])


def _decoded(codec: Codec, entry: Entry) -> Decoded | UndecodableError:
    try:
        return codec.decode_here(entry.content)
    except UndecodableError as error:
        return error


def _encoded(before: Decoded | None, result: Pixels | MaskerError, accept: str | None) -> tuple[str, Result]:
    if before is None or isinstance(result, MaskerError):
        return "", result if isinstance(result, MaskerError) else MaskerError("there is no picture")
    name = pictures.negotiate(accept, before.format)
    return name, pictures.encode(result, name)


def _renamed(name: str, image_format: str) -> str:
    """`name` with an extension of the format."""
    if extension_fits(name, image_format) and "." in name:
        return name
    return f"{name.rpartition('.')[0] or name}{READABLE[image_format][0]}"


def _nothing_masked(failed: Sequence[HttpError]) -> HttpError:
    reasons = Counter(error.reason for error in failed)
    got = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
    status = max(error.status for error in failed)
    return HttpError(
        status, "nothing_masked", "none of the files could be masked", got=got, allowed="PNG, JPEG or WebP pictures",
        fix="send one of them alone to learn what is wrong with it",
    )  # fmt: skip
