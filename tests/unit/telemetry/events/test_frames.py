from __future__ import annotations

import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from identity_masker.telemetry.events.frames import frame, lines

events = st.dictionaries(
    st.text(max_size=8), st.text(max_size=20) | st.integers(-(2**60), 2**60) | st.booleans() | st.none(), max_size=5
)


def read(content: bytes) -> list[dict[str, Any]]:
    return [line.event for line in lines(io.BytesIO(content)) if line.event is not None]


@given(st.lists(events, max_size=5))
def test_what_is_framed_is_read(given: list[dict[str, Any]]) -> None:
    content = b"".join(map(frame, given))
    assert read(content) == given
    assert content.count(b"\n") == len(given)


@given(st.lists(events, min_size=1, max_size=4), st.data())
def test_a_cut_loses_the_last_line_alone(given: list[dict[str, Any]], data: st.DataObject) -> None:
    content = b"".join(map(frame, given))
    last = len(frame(given[-1]))
    cut = data.draw(st.integers(1, last))
    assert read(content[: len(content) - cut]) == given[:-1]


@given(st.lists(events, min_size=1, max_size=4), st.data())
def test_a_changed_byte_loses_its_line_and_at_most_the_next(given: list[dict[str, Any]], data: st.DataObject) -> None:
    framed = list(map(frame, given))
    content = bytearray(b"".join(framed))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    damaged = next(i for i in range(len(framed)) if at < sum(map(len, framed[: i + 1])))
    found = read(bytes(content))
    assert found[:damaged] == given[:damaged]
    assert all(event in given for event in found)
    assert len(found) >= len(given) - 2


@given(st.binary(max_size=300))
def test_noise_holds_no_events(content: bytes) -> None:
    assert read(content) == []
