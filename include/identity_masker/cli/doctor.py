"""`masker doctor`: check the installation."""

from __future__ import annotations

import click

from identity_masker.cli.step import finish
from identity_masker.settings import settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Say what is installed, what can be reached and what is missing. Exit code 1 when something required is not."""
    from identity_masker.stack.doctor import examine, show

    report = examine(settings())
    if as_json:
        finish(report, as_json=True)
    else:
        show(report)
    context.exit(0 if report.ok else 1)
