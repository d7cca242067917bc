"""What tells whether two sources show the same picture; apart from `normalise`, for a server needs no BLAKE3."""

from __future__ import annotations

import pyarrow as pa
from blake3 import blake3
from PIL import Image

from identity_masker.faces.normalise import Picture, as_image, shape_line


def content_hash(picture: Picture) -> str:
    """BLAKE3 of the width, height and pixels of `picture`: equal for the same picture in any file format.

    It goes over the four bytes that Pillow keeps for a pixel (red, green, blue, 255), which need no copy, and takes a
    quarter of the time of SHA-256.
    """
    image = as_image(picture)
    digest = blake3(shape_line(image.width, image.height))
    digest.update(_pillow_bytes(image))
    return digest.hexdigest()


def _pillow_bytes(image: Image.Image) -> memoryview:
    try:
        column = pa.array(image)
    except ValueError:
        # Of a picture of more than 16 MiB Pillow keeps the rows in several pieces.
        return memoryview(image.convert("RGBX").tobytes())
    buffer = column.values.buffers()[1]
    start = column.offset * 4
    return memoryview(buffer)[start : start + len(column) * 4]
