"""`masker models`: the registered versions."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from identity_masker.cli import step
from identity_masker.settings import settings

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


class Listed(BaseModel):
    """The registered versions, newest first."""

    versions: list[dict[str, str]]


class Promoted(BaseModel):
    """Which alias a version has now."""

    version: str
    semver: str
    alias: str


@click.group()
def command() -> None:
    """List, look at, compare, promote and reproduce registered versions.

    V is an alias (champion, challenger, previous), a semantic version such as 1.2.0, or the registry's number.
    """


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """All registered versions, newest first."""
    from identity_masker.registry import models

    aliases = models.aliases()
    columns = ("model", "architecture", "dataset", "code_commit")
    rows = [
        {
            "version": v.version,
            "semver": v.semver,
            "verdict": v.verdict,
            "aliases": ", ".join(aliases.get(v.version, [])),
        }
        | {name: v.tags.get(name, "")[:24] for name in columns}
        for v in models.versions()
    ]
    if as_json or not _on_terminal():
        step.finish(Listed(versions=rows), as_json=as_json)
        return
    table = Table(*rows[0], box=None) if rows else Table("nothing is registered", box=None)
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)


@command.command()
@click.argument("reference", metavar="V")
@click.option("--card", type=click.Path(file_okay=False, path_type=Path), help="Write the model card into this folder.")
def show(reference: str, card: Path | None) -> None:
    """The model card of a version: what it is, how it was measured, where it comes from."""
    from identity_masker.registry import model_card, models

    made = model_card.make(models.resolve(reference))
    if card is not None:
        made.write(card)
        click.echo(str(card / model_card.HTML))
    elif _on_terminal():
        from rich.markdown import Markdown

        Console().print(Markdown(made.markdown))
    else:
        click.echo(made.markdown)


@command.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Write the same faces masked by both.")
@json_option
def compare(first: str, second: str, picture: Path | None, as_json: bool) -> None:
    """Two versions side by side: figures, differences of origin, and with --picture what both make of the same faces.

    The picture is a PNG: drawn faces above, what A makes of them in the middle, what B makes of them below.
    """
    from identity_masker import artifacts
    from identity_masker.registry import compare as comparing
    from identity_masker.registry import models

    one, other = models.resolve(first), models.resolve(second)
    result = comparing.compare(one, other)
    if picture is not None:
        artifacts.write_bytes(str(picture), comparing.picture(one, other))
    if as_json or not _on_terminal():
        step.finish(result, as_json=as_json)
        return
    table = Table("measured", f"A {result.a.semver}", f"B {result.b.semver}", "better", box=None)
    for figure in result.figures:
        values = ("–" if value is None else f"{value:.3f}" for value in (figure.a, figure.b))
        table.add_row(figure.name, *values, figure.better or "")
    for name, (left, right) in result.differing.items():
        table.add_row(name, left[:24], right[:24], "")
    Console().print(table)
    if not result.same_test:
        click.echo("The versions were measured on different data: their figures are not to be compared.", err=True)


@command.command()
@click.argument("reference", metavar="V")
@click.option(
    "--to",
    "alias",
    type=click.Choice(["challenger", "champion"]),
    default="challenger",
    show_default=True,
    help="challenger: the next release takes it. champion: serve it to all users at once, as `masker deploy`.",
)
@json_option
def promote(reference: str, alias: str, as_json: bool) -> None:
    """Make an accepted version the candidate of the next release, or serve it to all users."""
    from identity_masker.registry import models

    version = models.resolve(reference)
    models.check_accepted(version)
    if alias == "champion":
        _deploy(version.version)
    else:
        models.set_alias(alias, version.version)
    step.finish(Promoted(version=version.version, semver=version.semver, alias=alias), as_json=as_json)


def _deploy(version: str) -> None:
    from identity_masker.serving.control import Control
    from identity_masker.serving.deploy import DeployOptions, ModelRegistry, deploy

    with Control(settings().control_url) as control:
        deploy(DeployOptions(reference=version, author="cli"), ModelRegistry(), control)


@command.command()
@click.argument("reference", metavar="V")
@json_option
def reproduce(reference: str, as_json: bool) -> None:
    """Train a version again from its data version, code commit and configuration, and compare the two.

    On the same kind of processor the weights are equal to the bit; elsewhere the figures of the training have to
    agree within the tolerance. Exit code 1 when they do not. Nothing is registered.
    """
    from identity_masker.registry.reproduce import reproduce as again

    result = again(reference)
    step.finish(result, as_json=as_json)
    if not result.equal and not result.within_tolerance:
        click.echo("masker: the version was not reproduced: the figures of the training differ", err=True)
        raise click.exceptions.Exit(1)


def _on_terminal() -> bool:
    return sys.stdout.isatty() and settings().result is None
