"""The option `--policy` of the drift commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from identity_masker.settings import settings

if TYPE_CHECKING:
    from identity_masker.drift.policy import DriftPolicy

policy_option = click.option(
    "--policy",
    "policy_path",
    type=click.Path(path_type=Path),
    help="YAML file that says what counts as drift; default: include/config/drift.yaml.",
)


def policy_of(path: Path | None) -> DriftPolicy:
    """The policy in the file `path`, by default the one that is shipped."""
    from identity_masker.drift.policy import FILE, load_policy

    return load_policy(path or settings().config_dir / FILE)
