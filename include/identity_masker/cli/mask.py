"""`masker mask`: picture files."""

from __future__ import annotations

from pathlib import Path

import click

from identity_masker.cli import step


@click.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="File, or folder.  [default: NAME.masked.EXT]")
@click.option("--version", "reference", default="champion", show_default=True, help="champion, challenger, 1.2.0 or 3.")
@click.option(
    "--model-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Use the model in this folder instead of one from the registry.",
)
@click.option("--key", help="Pictures with the same key get the same fictitious face.  [default: each its own]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    images: tuple[Path, ...],
    output: Path | None,
    reference: str,
    model_dir: Path | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Mask picture files on this machine.

    Each picture keeps its format; inputs are never overwritten. Pictures that cannot be masked are listed with
    the reason, the others are done, and the exit code is 2.
    """
    from identity_masker.serving import model
    from identity_masker.serving.mask_files import mask_files, targets

    targets(images, output)  # before the model is loaded, which takes seconds
    served = model.from_folder(model_dir) if model_dir else model.from_registry(reference)
    result = mask_files(images, output, served, key)
    step.finish(result, as_json=as_json)
    for picture in result.failed:
        click.echo(f"masker: {picture.input} was not masked: {picture.detail}", err=True)
    if result.failed:
        raise click.exceptions.Exit(2)
