"""The process that scores: `python -m identity_masker.serving.scoring_process SOURCE`, SOURCE a folder or `registry`.

Of low priority, and a process of its own, so that neither its work nor its death touches a request. It says on
stdout which examiner it has, then answers each job with one line of JSON. It ends when stdin ends, as it does when its
owner dies.

A job on stdin: the number of masked pictures and the lengths of the clear and the masked files (unsigned, 4 bytes
each, little endian), then the files.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from identity_masker.errors import MaskerError
from identity_masker.faces.decode import Limits, UndecodableError, decode
from identity_masker.faces.normalise import square
from identity_masker.serving.quality import Quality

REGISTRY = "registry"
NICENESS = 10
"""A tenth of the weight of a model server. At 19 a busy machine leaves it nothing, and no release is ever judged."""

FETCH_SECONDS = 300.0
NUMBER = struct.Struct("<I")


def frame(before: bytes, after: Sequence[bytes]) -> bytes:
    """One job as bytes."""
    lengths = (len(before), *(len(each) for each in after))
    return b"".join([NUMBER.pack(len(after)), *(NUMBER.pack(length) for length in lengths), before, *after])


def read_job(stream: IO[bytes]) -> tuple[bytes, list[bytes]] | None:
    """The next job; None at the end of the stream."""
    head = stream.read(NUMBER.size)
    if len(head) < NUMBER.size:
        return None
    (count,) = NUMBER.unpack(head)
    lengths = [NUMBER.unpack(stream.read(NUMBER.size))[0] for _ in range(count + 1)]
    before, *after = [stream.read(length) for length in lengths]
    return before, after


def fetched() -> Path:
    """The folder of the examiner that the registry names. Raises `MaskerError` with the reason when there is none."""
    # In a process that ends: MLflow takes hundreds of megabytes that scoring has no use for.
    command = [sys.executable, "-m", "identity_masker.registry.examiners"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=FETCH_SECONDS, check=False)
    found = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}
    if "folder" not in found:
        raise MaskerError("no examiner came from the registry", got=found.get("reason", f"exit code {done.returncode}"))
    return Path(found["folder"])


def main(source: str, stdin: IO[bytes], stdout: IO[bytes]) -> None:
    """Score until `stdin` ends."""
    try:
        folder = fetched() if source == REGISTRY else Path(source)
        from identity_masker.masking.examination import Examiner

        examiner = Examiner(folder)
    except (MaskerError, subprocess.TimeoutExpired) as error:
        _say(stdout, {"absent": str(error)})
        return
    _say(stdout, {"examiner": examiner.name, "folder": str(folder)})
    while (job := read_job(stdin)) is not None:
        _say(stdout, [list(quality) for quality in _scored(examiner, *job)])


def _scored(examiner: Any, before: bytes, after: Sequence[bytes]) -> list[Quality]:
    try:
        clear = square(decode(before, Limits()), examiner.size)
        return [_quality(examiner, clear, each) for each in after]
    except UndecodableError:
        return [Quality()] * len(after)


def _quality(examiner: Any, clear: Any, after: bytes) -> Quality:
    masked = square(decode(after, Limits()), examiner.size)
    (found,) = examiner.examine(clear[None], masked[None])
    return Quality(found.leak, int(found.face_found), found.outside)


def _say(stdout: IO[bytes], document: object) -> None:
    stdout.write(json.dumps(document).encode() + b"\n")
    stdout.flush()


if __name__ == "__main__":
    os.nice(NICENESS)
    main(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer)
