"""One input of a source becomes a normalised square, or a refusal with its reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from identity_masker.faces.content_hash import content_hash
from identity_masker.faces.dataset_config import DatasetConfig
from identity_masker.faces.decode import UndecodableError, decode_image
from identity_masker.faces.formats import extension_fits, format_of, jpeg_quality
from identity_masker.faces.normalise import Picture, aligned, as_image, pixel_hash, square, square_points
from identity_masker.faces.readers.source import FaceInput, Labels
from identity_masker.faces.schema import PIXELS


@dataclass(frozen=True)
class Prepared:
    """A usable input: `content_hash` is `content_hash` of the source, `image_hash` is SHA-256 of `pixels`.

    `side` is how many pixels of the source the square's side is long, `jpeg_quality` is None for other formats.
    """

    name: str
    identity: str
    pixels: NDArray[np.uint8]
    content_hash: str
    image_hash: str
    format: str
    source_bytes: int
    width: int
    height: int
    side: float
    jpeg_quality: float | None
    labels: Labels | None


@dataclass(frozen=True)
class Refused:
    """An unusable input; `reason` is a key of `decode.REASONS`."""

    name: str
    identity: str | None
    reason: str
    detail: str


def prepare(source: FaceInput, config: DatasetConfig) -> Prepared | Refused:
    """Read, decode, square and hash one input."""
    try:
        return _prepared(source, config)
    except UndecodableError as error:
        return Refused(source.name, source.identity, error.reason, str(error))


def _prepared(source: FaceInput, config: DatasetConfig) -> Prepared:
    content = source.read(config.limits)
    quality = None
    picture: Picture
    if isinstance(content, bytes):
        image_format, size, quality = format_of(content) or "", len(content), jpeg_quality(content)
        picture = _decoded(source.name, content, image_format, config)
    else:
        picture, image_format, size = content, PIXELS, content.nbytes
    if source.identity is None:
        raise UndecodableError("no_identity", got=source.name)
    image = as_image(picture)
    squared, labels, side = _squared(picture, image.size, source.labels, config)
    return Prepared(
        name=source.name,
        identity=source.identity,
        pixels=squared,
        content_hash=content_hash(image),
        image_hash=pixel_hash(squared),
        format=image_format,
        source_bytes=size,
        width=image.width,
        height=image.height,
        side=side,
        jpeg_quality=quality,
        labels=labels,
    )


def _decoded(name: str, content: bytes, image_format: str, config: DatasetConfig) -> Image.Image:
    image = decode_image(content, config.limits)
    if config.refuse_wrong_extension and not extension_fits(name, image_format):
        raise UndecodableError("wrong_extension", got=f"{name} with {image_format} content")
    return image


def _squared(
    picture: Picture, shown: tuple[int, int], labels: Labels | None, config: DatasetConfig
) -> tuple[NDArray[np.uint8], Labels | None, float]:
    """The square, the labels with their points as fractions of it, and its side in pixels of the source.

    `shown` is the width and height of `picture`.
    """
    anchors = None if labels is None else labels.anchors
    if config.crop == "anchors" and anchors is not None and np.isfinite(anchors).all():
        squared, anchors, side = aligned(picture, anchors, config.size)
        return np.ascontiguousarray(squared), replace(labels or Labels(), landmarks=None, anchors=anchors), side
    return np.ascontiguousarray(square(picture, config.size)), _moved(labels, *shown), float(min(shown))


def _moved(labels: Labels | None, width: int, height: int) -> Labels | None:
    if labels is None:
        return None
    landmarks, anchors = labels.landmarks, labels.anchors
    if landmarks is not None:
        landmarks = square_points(landmarks, width, height)
    if anchors is not None:
        shares: NDArray[np.float32] = (anchors / (width, height)).astype(np.float32)
        anchors = square_points(shares, width, height)
    return replace(labels, landmarks=landmarks, anchors=anchors)
