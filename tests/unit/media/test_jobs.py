"""Whole jobs on small sources: what is asked for is masked, sound and times stay, what is bad is named."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tests.unit.masking.maskers import small_masker
from tests.unit.media.footage import PLACES, SIDE, heard, scene, write

from identity_masker.errors import BadInputError, ConflictError, MaskerError, NotFoundError
from identity_masker.faces.detect import FaceDetector
from identity_masker.media import following, frames, video, video_writing
from identity_masker.media.job import open_job
from identity_masker.media.kind import kind_of
from identity_masker.media.plan import Options
from identity_masker.media.report import Report
from identity_masker.media.run import mask, run
from identity_masker.serving.model import ServedModel
from identity_masker.settings import settings

SERVED = ServedModel(small_masker(), "1", "1.0.0", "a" * 64)
FRAMES = 24


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("MASKER_HOME", str(tmp_path_factory.mktemp("home")))
    settings.cache_clear()
    yield
    patch.undo()
    settings.cache_clear()


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return scene(FRAMES)


@pytest.fixture(scope="module")
def film(pictures: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("film") / "two people.mp4", pictures)


def work(source: Path, destination: Path | None = None, **more: object) -> Report:
    options = Options.model_validate({"source": str(source), "destination": str(destination or ""), **more})
    return run(options, SERVED, lambda _name, _total: lambda _count: None)


def read(path: Path) -> list[video.Frame]:
    return list(video.frames(path, video.probe(path).times))


def differing(before: np.ndarray, after: np.ndarray, top: int, left: int) -> float:
    """Mean difference within the middle of a person's square."""
    rows, columns = slice(top + 24, top + SIDE - 24), slice(left + 24, left + SIDE - 24)
    return float(np.abs(before[rows, columns].astype(int) - after[rows, columns]).mean())


@pytest.mark.parametrize("chunk", [FRAMES, 10])
def test_a_video_keeps_frames_times_and_sound_and_shows_no_face_bare(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("identity_masker.media.plan.FRAMES_A_CHUNK", chunk)
    report = work(film, tmp_path / "masked.mp4", key=f"chunks of {chunk}")
    before, after = read(film), read(tmp_path / "masked.mp4")
    base = [video.probe(path).time_base for path in (film, tmp_path / "masked.mp4")]
    assert (report.people, report.counts.frames, report.counts.faces) == (2, FRAMES, 2 * FRAMES)
    assert [f.time * base[0][0] / base[0][1] for f in before] == pytest.approx(
        [f.time * base[1][0] / base[1][1] for f in after], abs=1e-3
    )
    assert heard(tmp_path / "masked.mp4") == pytest.approx(heard(film), abs=2.0) == pytest.approx(440, abs=2.0)
    for top, left in PLACES:
        changes = [differing(one.pixels, other.pixels, top, left) for one, other in zip(before, after, strict=True)]
        assert min(changes) > 10


def test_a_person_keeps_one_face_in_a_video_whatever_the_chunks(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: set[str] = set()

    class Watching:
        architecture, size = "watching", 64

        def mask(self, images: np.ndarray, given: list[str]) -> np.ndarray:
            keys.update(given)
            return 255 - images

    monkeypatch.setattr("identity_masker.media.plan.FRAMES_A_CHUNK", 7)
    options = Options(source=str(film), destination=str(tmp_path / "out.mp4"))
    served = ServedModel(Watching(), "1", "1.0.0", "b" * 64)
    assert run(options, served, lambda _name, _total: lambda _count: None).people == 2
    assert len(keys) == 2


def test_a_face_that_the_detector_loses_stays_covered_and_is_named(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = following.faces.find
    calls = iter(range(FRAMES))

    def forgetful(picture: np.ndarray, detector: FaceDetector) -> list[object]:
        return [] if next(calls) in (9, 10, 11) else list(found(picture, detector))

    monkeypatch.setattr(following.faces, "find", forgetful)
    report = work(film, tmp_path / "out.mp4", key="lost")
    before, after = read(film), read(tmp_path / "out.mp4")
    for top, left in PLACES:
        assert all(differing(before[n].pixels, after[n].pixels, top, left) > 10 for n in (9, 10, 11))
    lost = [doubt for doubt in report.doubts if "lost" in doubt.reason]
    assert [(doubt.first, doubt.last) for doubt in lost] == [(9, 11)]


def test_a_job_that_was_stopped_goes_on_where_it_was(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("identity_masker.media.plan.FRAMES_A_CHUNK", 8)
    options = Options(source=str(film), destination=str(tmp_path / "out.mp4"), key="resumed")
    done: list[int] = []

    def stops(count: int) -> None:
        done.append(count)
        if sum(done) > 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(options, SERVED, lambda name, _total: stops if name == "masking" else (lambda _count: None))
    assert not (tmp_path / "out.mp4").exists()
    again: list[tuple[str, int]] = []
    run(options, SERVED, lambda name, _total: lambda count: again.append((name, count)))
    assert sum(count for name, count in again if name == "finding faces") == 0
    assert sum(count for name, count in again if name == "masking") == FRAMES - 8
    assert len(read(tmp_path / "out.mp4")) == FRAMES


def test_a_broken_tail_is_masked_as_far_as_it_goes_and_named(film: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.mkv"
    write(whole, scene(FRAMES, people=1))
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    report = work(broken)
    assert 0 < len(read(tmp_path / "broken.masked.mkv")) < FRAMES
    assert report.counts.frames == len(read(tmp_path / "broken.masked.mkv"))


def test_sound_that_the_container_does_not_take_is_encoded_anew(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mkv", scene(6, people=1), sound="flac")
    work(film, tmp_path / "out.mp4")
    assert heard(tmp_path / "out.mp4") == pytest.approx(440, abs=5)


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("last", range(1, 13))
def test_no_frame_is_lost_where_segments_are_joined(
    pictures: list[np.ndarray], tmp_path: Path, ending: str, last: int
) -> None:
    film = write(tmp_path / "film.mkv", pictures[: 9 + last])
    facts, shown = video.probe(film), read(film)
    segments = [tmp_path / "0.nut", tmp_path / "1.nut"]
    for segment, part in zip(segments, (shown[:9], shown[9:]), strict=True):
        with video_writing.SegmentWriter(segment, ending, facts, shown[0].shape(facts)) as writer:
            for frame in part:
                writer.write(frame.time, frame.pixels)
    video_writing.assemble(segments, film, tmp_path / f"out{ending}")
    seconds = [frame.time * Fraction(*facts.time_base) for frame in shown]
    joined = video.probe(tmp_path / f"out{ending}")
    assert [time * Fraction(*joined.time_base) for time in joined.times] == seconds
    assert len(read(tmp_path / f"out{ending}")) == 9 + last


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("empty.mp4", b"", "cannot be opened as a video"),
        ("text.mp4", b"not a video" * 50, "cannot be opened as a video"),
        ("cut.zip", b"PK\x03\x04 and no more", "archive cannot be read"),
    ],
)
def test_a_source_that_is_not_what_its_name_says_is_bad_input(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInputError, match=complaint):
        work(tmp_path / name)


def test_a_video_without_a_picture_and_one_without_frames_are_bad_input(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        part = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        part.sample_rate = 48_000
        container.mux([*stream.encode(part), *stream.encode(None)])
    with pytest.raises(BadInputError, match="has no picture"):
        work(tmp_path / "sound.mp4")
    with av.open(str(tmp_path / "none.mkv"), "w") as container:
        picture = container.add_stream("libx264", rate=25)
        picture.width, picture.height = 64, 64
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        container.mux([*stream.encode(part), *stream.encode(None)])
    with pytest.raises(BadInputError, match="no frames"):
        work(tmp_path / "none.mkv")


def encoded(pixels: np.ndarray, name: str, **options: object) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, name, **options)
    return target.getvalue()


@pytest.fixture
def folder(pictures: list[np.ndarray], tmp_path: Path) -> Path:
    """Good pictures in several forms, bad ones of every kind, and something else."""
    root = tmp_path / "album"
    (root / "inner").mkdir(parents=True)
    good = pictures[0]
    face = good[PLACES[0][0] :, PLACES[0][1] :][:SIDE, :SIDE]
    Image.fromarray(good).save(root / "two.png")
    Image.fromarray(good).convert("L").save(root / "inner" / "grey.jpg")
    Image.fromarray(good).convert("CMYK").save(root / "cmyk.jpg")
    Image.fromarray(np.asarray(Image.fromarray(good).convert("L")).astype(np.uint16) * 257).save(root / "deep.png")
    Image.fromarray(face[:, 30:]).resize((132, 192)).save(root / "cut.png")
    Image.fromarray(np.full((100, 120, 3), 90, np.uint8)).save(root / "wall.png")
    Image.fromarray(good[:1, :1]).save(root / "dot.png")
    side = (20_000).to_bytes(4, "big")
    huge = encoded(good, "PNG")
    (root / "huge.png").write_bytes(huge[:16] + side + side + huge[24:])
    Image.fromarray(good).save(root / "moving.webp", save_all=True, append_images=[Image.fromarray(255 - good)])
    (root / "torn.png").write_bytes(encoded(good, "PNG")[:2000])
    (root / "notes.txt").write_text("somebody's notes")
    return root


def test_a_folder_is_masked_and_everything_bad_in_it_is_named(folder: Path, pictures: list[np.ndarray]) -> None:
    report = work(folder)
    masked = folder.with_name("album.masked")
    written = {path.relative_to(masked).as_posix() for path in masked.rglob("*") if path.is_file()}
    assert written == {"two.png", "inner/grey.jpg", "cmyk.jpg", "deep.png", "cut.png"}
    reasons = {skipped.name: skipped.reason for skipped in report.skipped}
    expected = {
        "wall.png": "no face was found", "dot.png": "too small", "huge.png": "too many pixels",
        "moving.webp": "animated", "torn.png": "ends too early", "notes.txt": "neither a picture nor a video",
    }  # fmt: skip
    assert reasons.keys() == expected.keys()
    assert all(expected[name] in reason for name, reason in reasons.items())
    assert (report.counts.without_face, report.written) == (1, 5)
    for name in ("two.png", "inner/grey.jpg", "cmyk.jpg", "deep.png"):
        after = np.asarray(Image.open(masked / name).convert("RGB"))
        source = folder / ("inner/grey.jpg" if name == "deep.png" else name)
        before = np.asarray(Image.open(source).convert("RGB"))
        assert all(differing(before, after, top, left) > 5 for top, left in PLACES)


def test_pictures_without_a_face_are_copied_where_asked_and_named(folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "wall.png":
            path.unlink()
    report = work(folder, tmp_path / "out", faceless="copy")
    assert (tmp_path / "out" / "wall.png").exists()
    assert [(doubt.name, doubt.reason[:17]) for doubt in report.doubts] == [("wall.png", "no face was found")]


def test_a_result_that_was_taken_away_is_made_anew(folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "two.png":
            path.unlink()
    work(folder, tmp_path / "out")
    (tmp_path / "out" / "two.png").unlink()
    (tmp_path / "out").rmdir()
    work(folder, tmp_path / "out")
    assert (tmp_path / "out" / "two.png").exists()


@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_an_archive_becomes_an_archive(pictures: list[np.ndarray], tmp_path: Path, ending: str) -> None:
    source = tmp_path / f"album{ending}"
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    (tmp_path / "in" / "deeper" / "two.png").write_bytes(encoded(pictures[0], "PNG"))
    from identity_masker.media import archive

    archive.pack(tmp_path / "in", ["deeper/two.png"], source)
    assert work(source).written == 1
    with archive.opened(tmp_path / f"album.masked{ending}") as made:
        assert made.names() == ["deeper/two.png"]
        after = np.asarray(Image.open(io.BytesIO(made.read("deeper/two.png", 10**7))))
    assert all(differing(pictures[0], after, top, left) > 10 for top, left in PLACES)


def test_paths_that_lead_out_of_an_archive_are_not_there(pictures: list[np.ndarray], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        for name in ("../out.png", "/root.png", "good.png"):
            packed.writestr(name, encoded(pictures[0], "PNG"))
    assert work(tmp_path / "evil.zip").written == 1
    assert not (tmp_path.parent / "out.png").exists()


def test_what_cannot_be_is_refused_before_any_work(film: Path, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        work(tmp_path / "missing.mp4")
    with pytest.raises(NotFoundError, match="neither a folder"):
        work(folder / "two.png")
    with pytest.raises(BadInputError, match="would lie within"):
        work(folder, folder / "masked")
    with pytest.raises(BadInputError, match="not written in this form"):
        work(film, tmp_path / "out.avi")
    with pytest.raises(BadInputError, match="name of an archive"):
        work(tmp_path / "a.zip", tmp_path / "out")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(BadInputError, match="nothing to mask"):
        work(tmp_path / "nothing")


def test_a_job_is_finished_by_the_masker_that_began_it(film: Path, tmp_path: Path) -> None:
    job = open_job(Options(source=str(film), destination=str(tmp_path / "out.mp4"), key="pinned"), SERVED)
    other = ServedModel(small_masker(1), "2", "1.0.1", "c" * 64)
    with pytest.raises(ConflictError, match="not the one that the job was begun with"):
        mask(job, 0, other, FaceDetector(), lambda _count: None)


def test_frames_are_covered_when_the_masker_fails(film: Path, tmp_path: Path) -> None:
    class Broken:
        architecture, size = "broken", 64

        def mask(self, images: np.ndarray, keys: list[str]) -> np.ndarray:
            raise MaskerError("a factor that is not a number")

    options = Options(source=str(film), destination=str(tmp_path / "out.mp4"))
    report = run(options, ServedModel(Broken(), "1", "1.0.0", "d" * 64), lambda _n, _t: lambda _c: None)
    assert any("covered" in doubt.reason and (doubt.first, doubt.last) == (0, FRAMES - 1) for doubt in report.doubts)
    before, after = read(film), read(tmp_path / "out.mp4")
    for top, left in PLACES:
        assert min(differing(b.pixels, a.pixels, top, left) for b, a in zip(before, after, strict=True)) > 10


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.MP4", "video"), ("b.tar.gz", "archive"), ("c.zip", "archive"), ("d.png", None), ("e", None)],
)
def test_a_source_is_known_by_its_name(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


def test_batches_leave_no_frame_out() -> None:
    numbers = [video.Frame(time, np.zeros((1, 1, 3), np.uint8)) for time in range(37)]
    batches = list(frames._batches(numbers[0], iter(numbers[1:])))
    assert [frame.time for batch in batches for frame in batch] == list(range(37))
