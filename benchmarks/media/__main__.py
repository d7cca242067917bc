"""A drawn film of two people masked: speed, flicker, whether each keeps one face, and a sheet of its frames.

python -m benchmarks.media --model-dir FOLDER [--seconds 10] [--sheet docs/images/media.png]
python -m benchmarks.media --version champion

Flicker is the mean absolute second difference of neighbouring frames in levels of 255, within the crops of the faces:
what jumps, where motion would be smooth. It is given for the film as it was drawn and for the masked one.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from benchmarks.media.footage import HEIGHT, WIDTH, write_film
from numpy.typing import NDArray
from PIL import Image

from identity_masker.faces.detect import FaceDetector
from identity_masker.media import video
from identity_masker.media.crops import cut
from identity_masker.media.following import detect, track
from identity_masker.media.job import Job, open_job
from identity_masker.media.plan import Options
from identity_masker.media.report import Report, assemble
from identity_masker.media.run import Stage, mask
from identity_masker.serving import model

Images = NDArray[np.uint8]
SHEET_FRAMES = 6


class Stopwatch:
    """Seconds and items of each stage."""

    def __init__(self) -> None:
        self.stages: dict[str, tuple[int, float]] = {}
        self._begun = time.perf_counter()

    def stage(self, name: str, total: int) -> Callable[[int], None]:
        self._begun = time.perf_counter()

        def advance(count: int) -> None:
            done, _ = self.stages.get(name, (0, 0.0))
            self.stages[name] = done + count, time.perf_counter() - self._begun

        return advance


def read(path: Path) -> list[Images]:
    return [frame.pixels for frame in video.frames(path, video.probe(path).times)]


def jumps(frames: list[Images]) -> float:
    """Mean absolute second difference in time."""
    values = np.stack(frames).astype(np.int16)
    return float(np.abs(values[2:] - 2 * values[1:-1] + values[:-2]).mean())


def flicker(job: Job, frames: list[Images]) -> float:
    """`jumps` within a square that stays where the face of each track is on average."""
    people = job.people(0)
    found = []
    for person in range(people.tracks):
        squares = [region.square for here in people.frames for region in here if region.track == person]
        middle = squares[len(squares) // 2]
        found.append(jumps([cut(frame, middle) for frame in frames]))
    return float(np.mean(found))


def sheet(before: list[Images], after: list[Images]) -> Image.Image:
    """Frames over the whole film above their masked ones, and below six neighbouring masked ones."""
    spread = np.linspace(0, len(before) - 1, SHEET_FRAMES).astype(int)
    half = len(before) // 2
    rows = [[before[n] for n in spread], [after[n] for n in spread], after[half : half + SHEET_FRAMES]]
    return Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in rows]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-dir", type=Path)
    parser.add_argument("--version", default="champion")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--keep", type=Path, help="Folder for the two films.")
    options = parser.parse_args()
    served = (
        model.from_folder(options.model_dir, many=True)
        if options.model_dir
        else model.from_registry(options.version, many=True)
    )
    with TemporaryDirectory(prefix="masker-bench-") as folder:
        os.environ["MASKER_HOME"] = folder
        kept = options.keep or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        film, masked = write_film(kept / "film.mp4", options.seconds), kept / "masked.mp4"
        watch, processor = Stopwatch(), time.process_time()
        job, report = _run(film, masked, served, watch.stage)
        spent = time.process_time() - processor
        before, after = read(film), read(masked)
        if options.sheet:
            options.sheet.parent.mkdir(parents=True, exist_ok=True)
            picture = sheet(before, after)
            size = picture.width * 4 // 9, picture.height * 4 // 9
            picture.resize(size, Image.Resampling.LANCZOS).quantize(256).save(options.sheet)
        figures = {
            "frames": len(after), "size": f"{WIDTH} × {HEIGHT}", "people": report.people,
            "faces": report.counts.faces, "frames_without_face": report.counts.without_face,
            "doubts": report.doubts_count, "processor_seconds": round(spent, 1),
            "frames_per_processor_second": round(len(after) / spent, 1),
            **{f"{name} frames/s".replace(" ", "_"): round(n / s, 1) for name, (n, s) in watch.stages.items()},
            "flicker_clear": round(flicker(job, before), 2), "flicker_masked": round(flicker(job, after), 2),
            "load": round(os.getloadavg()[0], 1),
        }  # fmt: skip
    print(json.dumps(figures, indent=2, ensure_ascii=False))


def _run(film: Path, masked: Path, served: model.ServedModel, stage: Stage) -> tuple[Job, Report]:
    """The steps of `media.run.run`, whose job is looked at before its parts are forgotten."""
    job = open_job(Options(source=str(film), destination=str(masked), key="benchmark"), served)
    detector, total = FaceDetector(), sum(chunk.last - chunk.first for chunk in job.plan.chunks)
    advance = stage("finding", total)
    for chunk in job.plan.chunks:
        detect(job, chunk.number, detector, advance)
    track(job, 0)
    advance = stage("masking", total)
    for chunk in job.plan.chunks:
        mask(job, chunk.number, served, detector, advance)
    return job, assemble(job)


if __name__ == "__main__":
    main()
