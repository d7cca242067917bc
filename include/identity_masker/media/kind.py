"""What a source is by its name and form. Imports no FFmpeg: who masks single pictures does not need it."""

from __future__ import annotations

from typing import Literal

from identity_masker import artifacts
from identity_masker.media import archive

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".3gp")

Kind = Literal["folder", "archive", "video"]


def kind_of(source: str) -> Kind | None:
    """What a source is by its name and form; None for something else, such as a single picture."""
    name = source.lower().rstrip("/")
    if name.endswith(archive.EXTENSIONS):
        return "archive"
    if name.endswith(VIDEOS):
        return "video"
    system, path = artifacts.split(source)
    return "folder" if system.isdir(path) else None
