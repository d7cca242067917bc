"""`masker status`: what of the stack is running."""

from __future__ import annotations

import click

from identity_masker.cli.step import finish
from identity_masker.settings import settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the processes of the stack and the services that are not healthy. Exit code 1 when one is not."""
    from identity_masker.stack.status import stack_status

    status = stack_status(settings())
    finish(status, as_json=as_json)
    context.exit(0 if status.running and not status.unhealthy else 1)
