"""What the first bytes of a file say: its format, and the width and height in its header.

Nothing is decompressed here, so a guard can refuse a file by its header before any work is spent on it.
"""

from __future__ import annotations

from pathlib import PurePosixPath

READABLE = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "WEBP": (".webp",)}
"""Formats that the project reads, with the file extensions that belong to each."""

_FOREIGN = {
    b"GIF87a": "GIF", b"GIF89a": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"8BPS": "PSD",
    b"\0\0\x01\0": "ICO", b"qoif": "QOI", b"\xff\x0a": "JPEG XL", b"\0\0\0\x0cjP  ": "JPEG 2000",
}  # fmt: skip
_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF", b"avif": "AVIF", b"avis": "AVIF"}

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_SCAN = b"\xff\xda"
_TABLES = 0xDB
_STANDARD_SUM = 3688
"""Of the 64 numbers of the luma table in annex K, which is quality 50."""
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})
# Start-of-frame markers: 0xC0 to 0xCF without DHT (C4), JPG (C8) and DAC (CC).
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def format_of(content: bytes) -> str | None:
    """The image format named by the first bytes: a key of `READABLE`, another format's name, or None."""
    if content.startswith(_PNG):
        return "PNG"
    if content.startswith(_JPEG):
        return "JPEG"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12])
    return next((name for magic, name in _FOREIGN.items() if content.startswith(magic)), None)


def extension_fits(name: str, image_format: str) -> bool:
    """Whether the file's extension belongs to `image_format`; a name without one fits all."""
    suffix = PurePosixPath(name).suffix.lower()
    return not suffix or suffix in READABLE[image_format]


def header_size(content: bytes, image_format: str) -> tuple[int, int] | None:
    """Width and height as the header states them; None when `content` ends before the header does.

    Raises ValueError for a header that is not of the format.
    """
    if image_format == "PNG":
        return _png_size(content)
    return _jpeg_size(content) if image_format == "JPEG" else _webp_size(content)


def scans(content: bytes, image_format: str) -> int:
    """How many passes over the pixels a decoder makes; above 1 for progressive JPEG."""
    # Inside compressed JPEG data a byte 0xFF is followed by 0x00, so the pair is a marker.
    return content.count(_SCAN) if image_format == "JPEG" else 1


def jpeg_quality(content: bytes) -> float | None:
    """The quality from 1 to 100 at which the reference encoder would make this JPEG; None for another format.

    It is read off the table by which luma was quantised (ITU-T T.81, annex K, scaled as libjpeg does).
    """
    if not content.startswith(_JPEG):
        return None
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] not in _FRAME_MARKERS:
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        # A table of 8-bit numbers whose identifier is 0; 12-bit pictures have wider ones.
        if content[at + 1] == _TABLES and content[at + 4 : at + 5] == b"\0":
            return _quality_of(sum(content[at + 5 : at + 69]))
        at += 2 + length
    return None


def _quality_of(table_sum: int) -> float:
    scale = max(1.0, 100 * table_sum / _STANDARD_SUM)
    return round(min(100.0, max(1.0, 5000 / scale if scale > 100 else (200 - scale) / 2)), 1)


def _png_size(content: bytes) -> tuple[int, int] | None:
    if len(content) < 24:
        return None
    if content[12:16] != b"IHDR":
        raise ValueError(f"a PNG whose first chunk is {content[12:16]!r}")
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 4 <= len(content):
        if content[at] != 0xFF:
            raise ValueError(f"a JPEG without a marker at byte {at}")
        marker = content[at + 1]
        if marker == 0xFF or marker in _BARE_MARKERS:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAME_MARKERS:
            frame = content[at + 5 : at + 9]
            return (int.from_bytes(frame[2:], "big"), int.from_bytes(frame[:2], "big")) if len(frame) == 4 else None
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None


def _webp_size(content: bytes) -> tuple[int, int] | None:
    if len(content) < 30:
        return None
    kind = content[12:16]
    if kind == b"VP8X":
        return int.from_bytes(content[24:27], "little") + 1, int.from_bytes(content[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return int.from_bytes(content[26:28], "little") & 0x3FFF, int.from_bytes(content[28:30], "little") & 0x3FFF
    raise ValueError(f"a WebP whose first chunk is {kind!r}")
