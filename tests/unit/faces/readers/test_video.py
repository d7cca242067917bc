"""Videos of drawn people, encoded for the test."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.faces.readers.reading import content, each, people

from identity_masker.faces import anchors, render
from identity_masker.faces.decode import REASONS, Limits
from identity_masker.faces.readers import VideoReader
from identity_masker.faces.readers.video import _decoded

RATE, FRAMES = 4, 8


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of one person who looks at the camera, then a second of nobody."""
    path = tmp_path_factory.mktemp("video") / "ada" / "clip.mp4"
    path.parent.mkdir()
    faces = render.draw(1, np.full(40, 3), np.arange(40), 128)
    ahead = np.argsort(np.abs(faces.factors[:, :3]).sum(axis=1))[:FRAMES]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width = stream.height = 192
        stream.pix_fmt = "yuv420p"
        for face in [*faces.images[ahead], *[None] * RATE]:
            canvas = np.full((192, 192, 3), 90, dtype=np.uint8)
            if face is not None:
                canvas[32:160, 32:160] = face
            container.mux(stream.encode(av.VideoFrame.from_ndarray(canvas, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_frames_are_inputs_of_the_person_in_whose_folder_the_video_lies(clip: Path) -> None:
    found = people(VideoReader(path=clip.parent.parent, seconds=0.5))
    assert list(found) == [f"ada/clip.mp4@{time:.3f}" for time in np.arange(0, 3, 0.5)]
    assert set(found.values()) == {"ada"}
    assert set(people(VideoReader(path=clip))) == {f"clip.mp4@{time:.3f}" for time in np.arange(0, 3, 0.5)}
    assert set(people(VideoReader(path=clip)).values()) == {"clip"}
    assert len(people(VideoReader(path=clip, seconds=0))) == FRAMES + RATE


def test_faces_are_cut_out_with_their_points_and_empty_frames_refused(clip: Path) -> None:
    reader = VideoReader(path=clip, seconds=0.5, faces="largest")
    found = each(reader, content)
    assert [found[name] for name in ("clip.mp4@2.000", "clip.mp4@2.500")] == ["no_face", "no_face"]
    seen = {name: pixels for name, pixels in found.items() if isinstance(pixels, np.ndarray)}
    assert len(seen) >= 3
    labels = each(reader, lambda one: one.labels)
    for name, pixels in seen.items():
        assert pixels.shape[0] == pixels.shape[1] > 50
        points = labels[name].anchors / len(pixels)
        assert np.abs(points - anchors.FRAME).max() < 0.2


# x' = a x + c y, y' = b x + d y with x to the right and y down: the matrix of an MP4 track (ISO/IEC 14496-12, tkhd).
TURNS = {"upright": (1, 0, 0, 1), "clockwise": (0, 1, -1, 0), "over": (-1, 0, 0, -1), "back": (0, -1, 1, 0)}


def turned(clip: Path, target: Path, turn: str) -> Path:
    """The same video, to be shown turned, as a telephone that is held upright writes it."""
    content = bytearray(clip.read_bytes())
    at = content.index(b"tkhd") + 44
    a, b, c, d = TURNS[turn]
    struct.pack_into(">9i", content, at, a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    target.mkdir()
    (target / clip.name).write_bytes(content)
    return target / clip.name


@pytest.mark.parametrize(("turn", "quarters"), [("upright", 0), ("clockwise", -1), ("over", 2), ("back", 1)])
def test_a_video_that_is_to_be_shown_turned_is_read_as_it_is_shown(
    clip: Path, tmp_path: Path, turn: str, quarters: int
) -> None:
    stored = np.rot90(_first_frame(clip), quarters)
    shown = turned(clip, tmp_path / turn, turn)
    listed = list(VideoReader(path=shown).listing())
    (frame,) = (one.pixels for one in _decoded(shown, listed[:1], 10**6))
    np.testing.assert_array_equal(frame, stored)


def test_the_face_of_a_person_who_was_filmed_sideways_is_found_once_it_is_upright(clip: Path, tmp_path: Path) -> None:
    sideways = tmp_path / "sideways.mp4"
    with av.open(str(clip)) as source, av.open(str(sideways), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width = stream.height = 192
        stream.pix_fmt = "yuv420p"
        for frame in source.decode(video=0):
            pixels = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24")))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    shown = turned(sideways, tmp_path / "shown", "clockwise")
    found = each(VideoReader(path=shown, faces="largest"), lambda one: (content(one), one.labels))
    seen = [(pixels, labels) for pixels, labels in found.values() if isinstance(pixels, np.ndarray)]
    assert len(seen) >= 3
    for pixels, labels in seen:
        assert np.abs(labels.anchors / len(pixels) - anchors.FRAME).max() < 0.2


def _first_frame(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_a_part_of_a_video_is_read_as_in_the_whole(clip: Path) -> None:
    reader = VideoReader(path=clip, seconds=0.5, faces="largest")
    listed = list(reader.listing())
    whole = each(reader, content)
    with reader.open(listed[2:3], 1) as opened:
        (alone,) = [content(one) for one in opened]
    np.testing.assert_array_equal(alone, whole[listed[2].name])


def test_what_a_video_says_about_itself_may_be_in_any_encoding(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "latin.mp4"
    path.write_bytes(clip.read_bytes().replace(b"Lavf", b"\xe9t\xe9\xff"))
    assert len(people(VideoReader(path=path, seconds=0))) == FRAMES + RATE
    assert any(
        isinstance(pixels, np.ndarray) for pixels in each(VideoReader(path=path, faces="largest"), content).values()
    )


def test_frames_that_no_decoder_is_known_of_or_that_are_too_large_are_refused_with_the_reason(
    clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "unknown.mp4"
    path.write_bytes(clip.read_bytes().replace(b"avc1", b"zzzz"))
    assert set(each(VideoReader(path=path), content).values()) == {"unsupported_format"}
    small = VideoReader(path=clip, max_pixels=192 * 192 - 1)
    assert set(each(small, content).values()) == {"too_many_pixels"}


def test_what_is_no_video_is_one_refused_input(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "notes.txt").write_text("dear diary")
    (tmp_path / "ada" / "cut.mp4").write_bytes(clip.read_bytes()[:200])
    assert each(VideoReader(path=tmp_path), content) == {
        "ada/cut.mp4": "not_an_image",
        "ada/notes.txt": "not_an_image",
    }


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_damaged_video_is_read_or_refused_and_nothing_else(
    clip: Path, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = bytearray(clip.read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "clip.mp4"
    path.write_bytes(damaged[: data.draw(st.integers(1, len(damaged)))])
    found = each(VideoReader(path=path), lambda one: content(one, Limits()))
    assert found
    assert all(isinstance(one, np.ndarray) or one in REASONS for one in found.values())
