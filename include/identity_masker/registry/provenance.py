"""What a model comes from, as tags: the code, the configuration, the data and the DAG run."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel

from identity_masker import artifacts, faces, masking
from identity_masker.settings import PROJECT, settings


def code_sha256() -> str:
    """One hash over the source that decides what a training gives: the renderer and the masker."""
    folders = [Path(package.__file__ or "").parent for package in (faces, masking)]
    sources = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return artifacts.sha256(b"".join(path.read_bytes() for path in sources))


def config_sha256(config: BaseModel) -> str:
    return artifacts.sha256(config.model_dump_json().encode())


def code_commit() -> str:
    """The commit of the checkout, with `+` when files differ from it; empty in an image without one."""
    if not (PROJECT / ".git").exists():
        return ""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(PROJECT), *arguments],  # noqa: S607 - whichever git the user has
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return done.stdout.strip()


def machine_tags() -> dict[str, str]:
    """What the last bits of a training depend on beside code, data and configuration."""
    return {
        "threads": str(settings().threads or len(os.sched_getaffinity(0))),
        "torch": version("torch"),
        "processor": platform.machine(),
    }


def step_tags() -> dict[str, str]:
    """The DAG run that this process works for."""
    step = settings().step
    return {"dag_id": step.dag_id, "dag_run_id": step.run_id} if step.known else {}
