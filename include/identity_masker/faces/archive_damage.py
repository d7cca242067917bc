"""What Python's readers of archives raise for damage, which is more than their own errors."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib

DAMAGES = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError,
)  # fmt: skip
"""OSError is bzip2's too; ValueError comes of places and names; RuntimeError, of which NotImplementedError is one, of
encrypted files and of what zipfile does not know."""


def is_folder(info: zipfile.ZipInfo) -> bool:
    """As `info.is_dir()`, which stumbles over a member without a name."""
    return info.filename.endswith("/")


def first_line(error: Exception) -> str:
    """What `error` says, without the list of attempts that tarfile adds."""
    return str(error).partition("\n")[0].rstrip(":")
