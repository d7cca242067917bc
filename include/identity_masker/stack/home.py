"""The folder that holds all state of the embedded stack, and the lock that keeps a second stack out of it."""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from identity_masker import artifacts
from identity_masker.errors import BadInputError, ConflictError, TemporaryError

LAYOUT = 1
"""Raised when the folder's layout changes so that an older one cannot be used."""

NEEDED_BYTES = 2 << 30
SOCKET_PATH_LIMIT = 100  # sun_path holds 108 bytes, supervisord appends its pid while it binds


@dataclass(frozen=True)
class Home:
    """Paths under `MASKER_HOME`."""

    root: Path

    @property
    def airflow(self) -> Path:
        return self.root / "airflow"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def before_after(self) -> Path:
        return self.root / "before-after.png"

    def prepare(self) -> None:
        """Make the folders and the marker of the layout.

        Raises `BadInputError` for a folder that is not ours or of another layout, `TemporaryError` when there
        is not enough space.
        """
        self._check_owner()
        self._check_socket_length()
        try:
            for folder in (self.airflow, self.logs, self.run):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise artifacts.disk_error(error, self.root) from error
        free = shutil.disk_usage(self.root).free
        if free < NEEDED_BYTES:
            raise TemporaryError(
                "not enough free disk space",
                got=f"{free >> 20} MiB at {self.root}",
                allowed=f"at least {NEEDED_BYTES >> 20} MiB",
                fix="free space or set MASKER_HOME to another disk",
            )
        artifacts.write_json(str(self._marker), {"layout": LAYOUT})

    def _check_owner(self) -> None:
        if not self.root.exists():
            return
        if not self.root.is_dir():
            raise BadInputError("MASKER_HOME is not a folder", got=self.root, fix="set MASKER_HOME to a folder")
        if not self._marker.exists():
            if any(
                path
                for path in self.root.iterdir()
                if path.name not in ("run", "logs", "store", "cache", "models", "events")
            ):
                raise BadInputError(
                    "MASKER_HOME holds files that this project did not make",
                    got=self.root,
                    fix="set MASKER_HOME to a new folder",
                )
            return
        found = artifacts.read_json(str(self._marker)).get("layout")
        if found != LAYOUT:
            raise BadInputError(
                "MASKER_HOME was made by another version of this project",
                got=f"layout {found} in {self.root}",
                allowed=f"layout {LAYOUT}",
                fix="run `make clean`, or set MASKER_HOME to a new folder",
            )

    def _check_socket_length(self) -> None:
        if len(str(self.socket)) > SOCKET_PATH_LIMIT:
            raise BadInputError(
                "the path of MASKER_HOME is too long for a socket",
                got=f"{len(str(self.socket))} characters: {self.socket}",
                allowed=f"at most {SOCKET_PATH_LIMIT}",
                fix="set MASKER_HOME to a shorter path",
            )

    @property
    def _marker(self) -> Path:
        return self.root / "home.json"

    def lock(self) -> IO[str]:
        """Hold the home for this process. The lock goes with the process, so a killed stack leaves none behind."""
        file = (self.run / "lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise ConflictError(
                "another `masker up` uses this home",
                got=f"process {holder} holds {self.root}",
                fix="stop it with `make stop`, or set MASKER_HOME and the ports for a second stack",
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        return file

    def airflow_password(self) -> str:
        """The password of `admin`; empty when no stack was ever started here."""
        path = self.root / "secrets.json"
        return str(artifacts.read_json(str(path)).get("airflow_password", "")) if path.exists() else ""

    def secrets(self) -> dict[str, str]:
        """The secrets of this home, each made once and readable by the owner alone."""
        path = self.root / "secrets.json"
        found: dict[str, str] = artifacts.read_json(str(path)) if path.exists() else {}
        new = _new_secrets()
        if new.keys() - found.keys():  # a later version may need more than the one that made the home
            found = {**new, **found}
            artifacts.write_json(str(path), found)
            path.chmod(0o600)
        return found


def _new_secrets() -> dict[str, str]:
    return {
        "fernet_key": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "api_secret_key": secrets.token_urlsafe(32),
        "jwt_secret": secrets.token_urlsafe(64),
        "airflow_password": secrets.token_urlsafe(12),
        "unit_key": secrets.token_hex(32),
        "mask_key": secrets.token_hex(32),
    }
