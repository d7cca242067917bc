"""Put the `uv` program into a folder with nothing but Python's standard library.

Debian's `python3` comes without pip and ensurepip; uv's wheel is a zip with one static program in it.
Usage: fetch_uv.py uv==VERSION FOLDER
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import re
import sys
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import urldefrag, urljoin

INDEX = os.environ.get("UV_INDEX_URL") or os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"
WHEEL = "uv-{version}-py3-none-manylinux_2_17_{machine}.manylinux2014_{machine}.whl"


def main(requirement: str, folder: Path) -> None:
    name = WHEEL.format(version=requirement.removeprefix("uv=="), machine=platform.machine())
    page_url = f"{INDEX.rstrip('/')}/uv/"
    page = read(page_url).decode()
    found = re.search(rf'href="([^"]*/{re.escape(name)}#sha256=[0-9a-f]{{64}})"', page)
    if found is None:
        sys.exit(f"setup: {page_url} has no {name}; install python3-venv and run again")
    url, fragment = urldefrag(urljoin(page_url, found[1].replace("&amp;", "&")))
    wheel = read(url)
    if hashlib.sha256(wheel).hexdigest() != fragment.removeprefix("sha256="):
        sys.exit(f"setup: {url} does not match the hash of its index; run again")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        program = next(member for member in archive.namelist() if member.endswith("/scripts/uv"))
        target = folder / "uv"
        target.write_bytes(archive.read(program))
    target.chmod(0o755)


def read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 - the index is the user's own setting
        content: bytes = response.read()
    return content


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
