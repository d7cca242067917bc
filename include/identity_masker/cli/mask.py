"""`masker mask`: picture files, folders, archives and videos."""

from __future__ import annotations

from pathlib import Path

import click

from identity_masker.cli import step
from identity_masker.errors import BadInputError
from identity_masker.settings import settings


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="File, or folder.  [default: NAME.masked.EXT beside the source]",
)
@click.option("--version", "reference", default="champion", show_default=True, help="champion, challenger, 1.2.0 or 3.")
@click.option(
    "--model-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Use the model in this folder instead of one from the registry.",
)
@click.option(
    "--key",
    help="Equal keys give equal fictitious faces.  [default: each picture or person its own]",
)
@click.option(
    "--strength",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Below 1 the person shows through.",
)
@click.option(
    "--faceless",
    type=click.Choice(["leave out", "copy"]),
    default="leave out",
    show_default=True,
    help="What becomes of pictures of a folder or archive in which no face is found.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    paths: tuple[Path, ...],
    output: Path | None,
    reference: str,
    model_dir: Path | None,
    key: str | None,
    strength: float,
    faceless: str,
    as_json: bool,
) -> None:
    """Mask pictures, a folder of pictures and videos, an archive, or a video on this machine.

    A picture given by its name is taken for the crop of one face. In folders, archives (.zip, .tar) and videos all
    faces are found, and in videos followed, so that a person keeps one face. Sound and times of the frames stay.
    Formats stay; inputs are never overwritten. What cannot be masked is listed with the reason, the rest is done, and
    the exit code is 2. A job that was stopped goes on when it is called again.
    """
    from identity_masker.media.kind import kind_of

    kinds = [kind_of(str(path)) for path in paths]
    if any(kinds) and len(paths) > 1:
        raise BadInputError(
            "several sources, one of them a folder, an archive or a video", got=", ".join(map(str, paths)),
            allowed="pictures only, or one such source", fix="mask them one after the other",
        )  # fmt: skip
    if kinds[0] is None:
        _pictures(paths, output, reference, model_dir, key, strength, as_json=as_json)
    else:
        document = {"source": str(paths[0]), "destination": str(output or ""), "strength": strength, "key": key or ""}
        _media({**document, "faceless": faceless, "model": reference}, model_dir, as_json=as_json)


def _pictures(
    images: tuple[Path, ...], output: Path | None, reference: str, model_dir: Path | None, key: str | None,
    strength: float, *, as_json: bool,
) -> None:  # fmt: skip
    from identity_masker.serving import model
    from identity_masker.serving.mask_files import mask_files, targets

    targets(images, output)  # before the model is loaded, which takes seconds
    served = model.from_folder(model_dir) if model_dir else model.from_registry(reference)
    result = mask_files(images, output, served, key, strength)
    step.finish(result, as_json=as_json)
    for picture in result.failed:
        click.echo(f"masker: {picture.input} was not masked: {picture.detail}", err=True)
    if result.failed:
        raise click.exceptions.Exit(2)


def _media(options: dict[str, object], model_dir: Path | None, *, as_json: bool) -> None:
    from identity_masker.cli.media_bar import MediaBar
    from identity_masker.media.plan import Options
    from identity_masker.media.run import run
    from identity_masker.serving import model

    reference = str(options["model"])
    served = model.from_folder(model_dir, many=True) if model_dir else model.from_registry(reference, many=True)
    with MediaBar(interactive=settings().result is None) as bar:
        result = run(Options.model_validate(options), served, bar.stage)
    step.finish(result.short(), as_json=as_json)
    for skipped in result.skipped:
        click.echo(f"masker: {skipped.name} was not masked: {skipped.reason}", err=True)
    if result.skipped:
        raise click.exceptions.Exit(2)
