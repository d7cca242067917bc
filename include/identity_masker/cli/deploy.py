"""`masker deploy`: a registered version to all users."""

from __future__ import annotations

import click

from identity_masker.cli import step
from identity_masker.settings import settings


@click.command()
@click.option(
    "--version", "reference", default="challenger", show_default=True, help="challenger, champion, 1.2.0 or 3."
)
@click.option("--timeout", type=click.FloatRange(1), default=120.0, show_default=True, help="Seconds to become ready.")
@click.option(
    "--replicas", type=click.IntRange(1, 64), default=1, show_default=True, help="Model servers of the version."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(reference: str, timeout: float, replicas: int, as_json: bool) -> None:
    """Serve a registered version to all users.

    Starts its model servers through `masker fleet`, waits until one has masked a test picture, switches the
    routing table, sets the registry's aliases and lets the servers of other versions go.
    """
    from identity_masker.serving.control import Control
    from identity_masker.serving.deploy import DeployOptions, ModelRegistry, deploy

    config = settings()
    options = DeployOptions(
        reference=reference,
        timeout=timeout,
        replicas=replicas,
        author=config.step.key() if config.step.known else "cli",
    )
    with Control(config.control_url) as control:
        result = deploy(options, ModelRegistry(), control)
    step.finish(result, as_json=as_json)
