"""`masker media`: the steps of a job that `masker mask` does in one process, for processes of their own."""

from __future__ import annotations

import click
from pydantic import BaseModel

from identity_masker.cli import step
from identity_masker.settings import settings

job_option = click.option("--job", required=True, help="URI of the job, as `masker media plan` prints it.")
chunk_option = click.option("--chunk", type=click.IntRange(0), required=True, help="Number of the chunk.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


class Planned(BaseModel):
    """A job and its parts. `videos` are numbers of videos; `detect` and `mask` numbers of chunks."""

    job: str
    model_version: str
    pictures: int
    frames: int
    videos: list[int]
    detect: list[int]
    mask: list[int]


class Done(BaseModel):
    """One part of a job: how many frames or pictures it has, and how many faces were found or masked."""

    job: str
    part: int
    items: int
    faces: int


@click.group()
def command() -> None:
    """The steps of masking a folder, an archive or a video, as the DAG mask_media runs them."""


@command.command()
@click.option("--source", required=True, help="Folder, archive or video: a path or a URI.")
@click.option("--destination", default="", help="Where the masked copies go.  [default: NAME.masked beside the source]")
@click.option("--model-version", default="champion", show_default=True, help="champion, challenger, 1.2.0 or 3.")
@click.option("--strength", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True)
@click.option("--key", default="", help="Equal keys give equal fictitious faces.")
@click.option("--faceless", type=click.Choice(["leave out", "copy"]), default="leave out", show_default=True)
@json_option
def plan(
    source: str, destination: str, model_version: str, strength: float, key: str, faceless: str, as_json: bool
) -> None:
    """Look through the source and cut the work into chunks. The same call again gives the job that was begun."""
    from identity_masker.media.job import open_job
    from identity_masker.media.plan import Options
    from identity_masker.serving import model

    document = {"source": source, "destination": destination, "model": model_version, "strength": strength}
    options = Options.model_validate({**document, "key": key, "faceless": faceless})
    job = open_job(options, model.from_registry(model_version))
    made = job.plan
    result = Planned(
        job=job.uri, model_version=made.model_version, pictures=len(made.pictures),
        frames=sum(len(found.facts.times) for found in made.videos), videos=list(range(len(made.videos))),
        detect=[chunk.number for chunk in made.chunks if chunk.video is not None],
        mask=[chunk.number for chunk in made.chunks],
    )  # fmt: skip
    step.finish(result, as_json=as_json)


@command.command()
@job_option
@chunk_option
@json_option
def detect(job: str, chunk: int, as_json: bool) -> None:
    """Find the faces in the frames of one chunk of a video."""
    from identity_masker.cli.media_bar import MediaBar
    from identity_masker.faces.detect import FaceDetector
    from identity_masker.media.following import detect as find
    from identity_masker.media.job import Job

    opened = Job(job)
    part = opened.chunk(chunk)
    with MediaBar(interactive=settings().result is None) as bar:
        detector = FaceDetector(threads=settings().threads or 1)
        found = find(opened, chunk, detector, bar.stage("finding faces", part.last - part.first))
    faces = sum(len(boxes or ()) for boxes in found.frames)
    step.finish(Done(job=job, part=chunk, items=len(found.frames), faces=faces), as_json=as_json)


@command.command()
@job_option
@json_option
def track(job: str, as_json: bool) -> None:
    """Follow the faces through each video whose frames all went through `detect`."""
    from identity_masker.media.following import track as follow
    from identity_masker.media.job import Job

    opened = Job(job)
    people = [follow(opened, number) for number in range(len(opened.plan.videos))]
    frames, faces = sum(len(p.frames) for p in people), sum(p.tracks for p in people)
    step.finish(Done(job=job, part=0, items=frames, faces=faces), as_json=as_json)


@command.command()
@job_option
@chunk_option
@json_option
def mask(job: str, chunk: int, as_json: bool) -> None:
    """Mask one chunk of pictures or frames with the version that the job was begun with."""
    from identity_masker.cli.media_bar import MediaBar
    from identity_masker.faces.detect import FaceDetector
    from identity_masker.media.job import Job
    from identity_masker.media.run import mask as mask_chunk
    from identity_masker.serving import model

    opened = Job(job)
    part = opened.chunk(chunk)
    served = model.from_registry(opened.plan.model_version, many=True)
    with MediaBar(interactive=settings().result is None) as bar:
        advance = bar.stage("masking", part.last - part.first)
        done = mask_chunk(opened, chunk, served, FaceDetector(threads=settings().threads or 1), advance)
    counts = done.counts
    step.finish(Done(job=job, part=chunk, items=counts.frames + counts.pictures, faces=counts.faces), as_json=as_json)


@command.command()
@job_option
@json_option
def assemble(job: str, as_json: bool) -> None:
    """Put the parts together and write the report: counts, what was left out and why, what a person should look at."""
    from identity_masker.media.job import Job
    from identity_masker.media.report import assemble as put_together

    opened = Job(job)
    report = put_together(opened)
    opened.forget_parts()
    step.finish(report.short(), as_json=as_json)
