"""`masker down`: stop the stack."""

from __future__ import annotations

import click

from identity_masker.settings import settings


@click.command()
def command() -> None:
    """Stop every process of the stack that runs on this home. It is no error when none runs."""
    from identity_masker.stack import supervisor
    from identity_masker.stack.home import Home

    home = Home(settings().home)
    click.echo(f"stopped the stack of {home.root}" if supervisor.stop(home) else f"no stack runs on {home.root}")
