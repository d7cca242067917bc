from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.telemetry.events.samples import example, exposure, outcome, request

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.telemetry.events import hour_files
from identity_masker.telemetry.events.frames import frame, parse
from identity_masker.telemetry.events.kinds import KINDS, checked, kind

EXAMPLES = {"requests": request(), "exposures": exposure(), "outcomes": outcome(), "examples": example()}
anything = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**62, 2**1100)
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.just("\ud800")
    | st.lists(st.none(), max_size=1)
)


@given(st.sampled_from(KINDS), st.data())
@settings(deadline=None)
def test_what_is_taken_can_be_stored(name: Any, data: st.DataObject) -> None:
    """An event that was acknowledged and cannot be stored would stop every later compaction."""
    event = EXAMPLES[name]
    column = data.draw(st.sampled_from(sorted(event)))
    try:
        row = checked(name, {**event, column: data.draw(anything)})
    except BadInputError:
        return
    read = parse(frame(row))
    assert read == row
    assert checked(name, read) == row
    with tempfile.TemporaryDirectory() as folder:
        ((path,),) = hour_files.spread([row], name, Path(folder)).values()
        assert hour_files.rows_of(path) == 1


def test_examples_are_taken_whole() -> None:
    for name, event in EXAMPLES.items():
        assert json.dumps(checked(kind(name), event))
        with pytest.raises(BadInputError, match="missing or unknown: more"):
            checked(kind(name), {**event, "more": 1})


def test_another_kind_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="requests, exposures, outcomes"):
        kind("pictures")
