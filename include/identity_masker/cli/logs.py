"""`masker logs`: what all processes wrote about one request."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from identity_masker.cli.step import finish
from identity_masker.settings import settings


@click.command()
@click.option("--request", required=True, help="The x-request-id of the answer, or request_id of a problem.")
@click.option(
    "--folder",
    "folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where logs lie; may be given again.  [default: those of the stack in MASKER_HOME]",
)
@click.option("--stdin", "piped", is_flag=True, help="Search the lines that come in too, such as those of pods.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(request: str, folders: tuple[Path, ...], piped: bool, as_json: bool) -> None:
    """Find every line of a request, of the gateway, the model servers and the tasks, in the order of their times.

    On Kubernetes: kubectl logs -l app.kubernetes.io/name=identity-masker --prefix --tail=-1 | masker logs --stdin
    --request ID
    """
    from identity_masker.telemetry.log_search import search

    home = settings().home
    own = [folder for folder in (home / "logs", home / "airflow" / "logs") if folder.is_dir()]
    found = search(request, folders or ([] if piped else own), sys.stdin if piped else None)
    if as_json:
        finish(found, as_json=True)
        return
    for line in found.lines:
        click.echo(line.text())
