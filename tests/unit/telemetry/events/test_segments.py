from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from identity_masker.telemetry.events import segments
from identity_masker.telemetry.events.frames import frame

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


def left_behind(folder: Path, content: bytes) -> Path:
    """An unsealed segment whose writer is gone."""
    segment = segments.create(folder, NOW)
    os.write(segment.descriptor, content)
    os.close(segment.descriptor)
    return segment.path


def test_the_name_says_when_a_segment_was_opened(tmp_path: Path) -> None:
    segment = segments.create(tmp_path / "new", NOW)
    assert segments.opened_at(segment.path) == NOW
    segments.seal(segment)


def test_a_segment_without_events_is_removed(tmp_path: Path) -> None:
    segments.seal(segments.create(tmp_path, NOW))
    left_behind(tmp_path, b"")
    assert segments.adopt(tmp_path) == 0
    assert not list(tmp_path.iterdir())


def test_a_segment_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    segment = segments.create(tmp_path, NOW)
    os.write(segment.descriptor, b"half a li")
    assert segments.adopt(tmp_path) == 0
    assert (segments.sealed(tmp_path), segments.unsealed(tmp_path)) == ([], [segment.path])
    segments.seal(segment)
    assert len(segments.sealed(tmp_path)) == 1


@pytest.mark.parametrize("cut", [1, 10, 18, 30])
def test_a_torn_tail_is_cut_off_and_counted(tmp_path: Path, cut: int) -> None:
    whole, torn = frame({"event": 1}), frame({"event": 2, "long": "x" * 20})
    left_behind(tmp_path, whole + torn[:-cut])
    assert segments.adopt(tmp_path) == 1
    (path,) = segments.sealed(tmp_path)
    assert path.read_bytes() == whole
    assert segments.adopt(tmp_path) == 0


def test_a_segment_of_nothing_but_a_torn_line_is_removed_and_counted(tmp_path: Path) -> None:
    left_behind(tmp_path, frame({"event": 1})[:-1])
    assert segments.adopt(tmp_path) == 1
    assert not list(tmp_path.iterdir())


def test_a_whole_segment_is_adopted_as_it_is(tmp_path: Path) -> None:
    path = left_behind(tmp_path, frame({"event": 1}))
    assert segments.adopt(tmp_path) == 0
    assert segments.sealed(tmp_path) == [path.with_suffix(".log")]
