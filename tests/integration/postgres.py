"""A PostgreSQL server of its own for a test run, from the machine's binaries."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def binary(name: str) -> str | None:
    """The path of a program of PostgreSQL; Debian keeps them off PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(debian[-1]) if debian else None)


@contextmanager
def postgres(host: str = "127.0.0.1") -> Iterator[str]:
    """A running server that listens on `host`; yields its SQLAlchemy URL."""
    initdb, server = binary("initdb"), binary("postgres")
    if initdb is None or server is None:
        raise FileNotFoundError("initdb and postgres")
    folder = Path(tempfile.mkdtemp(prefix="masker-test-postgres-"))
    user = pwd.getpwnam("nobody") if os.getuid() == 0 else None  # it refuses to run as root
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user is not None else {}
    with socket.socket() as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    subprocess.run(
        [initdb, "-D", data, "-U", "masker", "-A", "trust", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
        **options,  # type: ignore[call-overload]
    )
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all masker samenet trust\nhost all masker 10.0.0.0/8 trust\n")
    with subprocess.Popen(
        [server, "-D", data, "-p", str(port), "-k", folder, "-c", f"listen_addresses={host}", "-c", "fsync=off"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **options,
    ) as process:
        try:
            yield f"postgresql://masker:planted-password@{host}:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # does not wait for clients
            process.wait(20)
            shutil.rmtree(folder, ignore_errors=True)
