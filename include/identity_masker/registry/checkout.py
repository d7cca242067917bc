"""Another commit of this repository in a folder of its own, as long as it is needed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from identity_masker.errors import NotFoundError
from identity_masker.settings import PROJECT


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A folder with the files of `commit`. Raises `NotFoundError` when the repository does not have it."""
    with TemporaryDirectory(prefix="masker-checkout-") as folder:
        project = Path(folder) / "project"
        try:
            _git("worktree", "add", "--detach", "--force", str(project), commit)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", "") or error
            raise NotFoundError(
                "the commit cannot be checked out",
                got=f"{commit}: {str(reason).strip()}",
                allowed=f"a commit of the repository at {PROJECT}",
                fix="fetch it: git fetch --all",
            ) from error
        try:
            yield project
        finally:
            _git("worktree", "remove", "--force", str(project))


def _git(*arguments: str) -> None:
    subprocess.run(
        ["git", "-C", str(PROJECT), *arguments],  # noqa: S607 - whichever git the user has
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
