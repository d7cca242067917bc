"""Videos with damaged or odd parts: what can be shown is kept and what cannot is said, in words."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.masking.maskers import small_masker
from tests.unit.media.footage import heard, scene, write

from identity_masker.errors import BadInputError
from identity_masker.media import video, video_writing
from identity_masker.media.plan import Options
from identity_masker.media.report import Report
from identity_masker.media.run import run
from identity_masker.serving.model import ServedModel
from identity_masker.settings import settings as masker_settings

SERVED = ServedModel(small_masker(), "1", "1.0.0", "a" * 64)
FORMS = {".mp4": ("libx264", "aac"), ".mkv": ("libx264", "aac"), ".webm": ("libvpx-vp9", "libopus")}
FRAMES = 12


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKER_HOME", str(tmp_path_factory.mktemp("home")))
        masker_settings.cache_clear()
        yield
    masker_settings.cache_clear()


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, pictures = tmp_path_factory.mktemp("films"), scene(FRAMES, people=1)
    return {
        ending: write(folder / f"film{ending}", pictures, codec=codec, sound=sound)
        for ending, (codec, sound) in FORMS.items()
    }


@pytest.fixture
def film(films: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    """A film of two people in a form, with some bytes replaced by as many others."""

    def made(ending: str, *changes: tuple[bytes, bytes]) -> Path:
        content = films[ending].read_bytes()
        for before, after in changes:
            assert before in content
            assert len(before) == len(after)
            content = content.replace(before, after)
        path = tmp_path / f"film{ending}"
        path.write_bytes(content)
        return path

    return made


def masked(source: Path) -> Report:
    options = Options(source=str(source), destination="")
    return run(options, SERVED, lambda _name, _total: lambda _count: None)


def test_what_a_video_says_about_itself_may_be_in_any_encoding(film: Callable[..., Path]) -> None:
    report = masked(film(".mkv", (b"Lavf", b"\xe9t\xe9\xff")))
    assert (report.written, report.skipped, report.doubts) == (1, [], [])


def test_a_video_in_an_unknown_coding_is_bad_input(film: Callable[..., Path]) -> None:
    with pytest.raises(BadInputError, match=r"coding that is not read here; got film\.mp4"):
        masked(film(".mp4", (b"avc1", b"zzzz")))


def test_a_damaged_video_in_a_folder_is_named_and_costs_no_other(
    film: Callable[..., Path], films: dict[str, Path]
) -> None:
    folder = film(".mp4", (b"avc1", b"zzzz")).parent
    (folder / "sound.mkv").write_bytes(films[".mkv"].read_bytes())
    report = masked(folder)
    assert report.written == 1
    assert [skipped.name for skipped in report.skipped] == ["film.mp4"]


def test_sound_in_an_unknown_coding_is_left_out_and_that_is_said(film: Callable[..., Path]) -> None:
    path = film(".mkv", (b"A_AAC", b"A_ZZZ"))
    report = masked(path)
    assert report.written == 1
    assert [(doubt.name, doubt.reason) for doubt in report.doubts] == [
        ("film.mkv", "the sound is in a coding that is not read here, and was left out")
    ]
    assert heard(path.with_name("film.masked.mkv")) == 0


def test_sound_that_no_container_takes_is_left_out_and_that_is_said(film: Callable[..., Path]) -> None:
    # Matroska's sampling rate, and that of AAC's own header: none.
    path = film(".mkv", (struct.pack(">d", 48_000), bytes(8)), (b"\x11\x88V\xe5\x00", b"&\x80V\xe5\x00"))
    report = masked(path)
    assert (report.counts.frames, report.written) == (FRAMES, 1)
    assert [doubt.reason for doubt in report.doubts] == ["the sound cannot be kept: Invalid argument"]
    assert len(video.probe(path.with_name("film.masked.mkv")).times) == FRAMES


def test_frames_that_are_too_large_are_refused_before_they_are_decoded(
    film: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(".webm")
    facts = video.probe(path)
    monkeypatch.setattr(video, "MAX_PIXELS", facts.width * facts.height - 1)
    with pytest.raises(BadInputError, match=r"too large; got 224 × 160 pixels; expected at most 35,839 pixels"):
        video.probe(path)


def test_frames_that_change_their_size_keep_that_of_the_first_whatever_the_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = scene(FRAMES, people=1)
    path = tmp_path / "call.webm"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=10)
        for sizes, part in ((1, pictures[:6]), (2, pictures[6:])):
            smaller = [np.ascontiguousarray(pixels[::sizes, ::sizes]) for pixels in part]
            encoder = stream.codec_context if sizes == 1 else av.CodecContext.create("libvpx-vp9", "w")
            encoder.height, encoder.width = smaller[0].shape[:2]
            encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, 10), Fraction(10)
            for number, pixels in enumerate(smaller):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = 6 * (sizes - 1) + number, Fraction(1, 10)
                mux(container, stream, encoder.encode(frame))
            mux(container, stream, encoder.encode(None))
    assert {frame.pixels.shape[0] for frame in video.frames(path, video.probe(path).times)} == {160, 80}
    monkeypatch.setattr("identity_masker.media.plan.FRAMES_A_CHUNK", 6)
    options = Options(source=str(path), destination=str(tmp_path / "call.mp4"))
    run(options, SERVED, lambda _name, _total: lambda _count: None)
    shown = list(video.frames(tmp_path / "call.mp4", video.probe(tmp_path / "call.mp4").times))
    assert len(shown) == FRAMES
    for before, after in zip(pictures, shown, strict=True):
        assert np.abs(before[:, 190:].astype(int) - after.pixels[:, 190:]).mean() < 8  # the wall beside the person


def mux(container: av.container.OutputContainer, stream: av.VideoStream, packets: list[av.Packet]) -> None:
    for packet in packets:
        packet.stream, packet.time_base = stream, Fraction(1, 10)
        container.mux(packet)


@settings(max_examples=200)
@given(
    ending=st.sampled_from(sorted(FORMS)),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=30),
    kept=st.sampled_from([1.0, 1.0, 1.0, 0.9, 0.5]),
)
def test_a_damaged_video_is_masked_as_far_as_it_goes_or_refused(
    films: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    ending: str,
    changes: list[tuple[float, int]],
    kept: float,
) -> None:
    content = bytearray(films[ending].read_bytes())
    for share, value in changes:
        content[int(share * len(content))] = value
    path = tmp_path_factory.mktemp("damaged") / f"film{ending}"
    path.write_bytes(content[: int(kept * len(content))])
    try:
        facts = video.probe(path)
    except BadInputError:
        return
    shown = list(video.frames(path, facts.times))
    assert {frame.time for frame in shown} <= set(facts.times)
    assert all(before.time < after.time for before, after in pairwise(shown))
    if shown:
        segment, target = path.with_name("0.nut"), path.with_name(f"out{ending}")
        with video_writing.SegmentWriter(segment, ending, facts, shown[0].shape(facts)) as writer:
            for frame in shown:
                writer.write(frame.time, frame.pixels)
        video_writing.assemble([segment], path, target)
        with av.open(str(target)) as container:
            assert sum(1 for _ in container.decode(video=0)) == len(shown)
