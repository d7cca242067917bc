from __future__ import annotations

import base64
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.serving.support import noise

from identity_masker.faces.decode import Limits, decode
from identity_masker.serving import request_log
from identity_masker.serving.exposures import Exposure
from identity_masker.serving.pictures import encode
from identity_masker.serving.request_log import RequestLog, Served
from identity_masker.serving.upstream import Reply
from identity_masker.telemetry.events import EventLog
from identity_masker.telemetry.events.kinds import Kind
from identity_masker.telemetry.events.reading import newest
from identity_masker.telemetry.http import Exchange

PICTURE = encode(noise(), "PNG")
ON = Exposure("softer", "on", None, forced=False)


def answered(count: int = 1, status: int = 200, body: bytes = PICTURE, **served: Any) -> list[Exchange]:
    made = []
    for number in range(count):
        exchange = Exchange(f"r-{number}", status=status)
        exchange.evidence = Served(picture=PICTURE, reply=Reply(status, {}, body), **served)
        made.append(exchange)
    return made


def logged(
    folder: Path, exchanges: list[Exchange], kind: Kind = "requests", example_seconds: float = 0.0
) -> list[dict[str, Any]]:
    with EventLog(folder / "log") as events:
        log = RequestLog(events, example_seconds=example_seconds)
        for exchange in exchanges:
            log.done(exchange, 0.25)
        log.close()
    return newest(folder / "log", str(folder / "store"), kind, datetime(2026, 1, 1, tzinfo=UTC), 1000)


def test_each_request_is_an_event(tmp_path: Path) -> None:
    found = logged(tmp_path, answered(3, unit="u", variant="champion", version="4", semver="1.0.4"))
    assert {event["request_id"] for event in found} == {"r-0", "r-1", "r-2"}
    assert len({event["event_id"] for event in found}) == 3
    assert {(event["latency_ms"], event["changed"]) for event in found} == {(250.0, 0.0)}
    assert {len(event["masked_code"]) for event in found} == {44}


def test_under_load_some_are_described_and_all_are_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "DESCRIBED_RATE", 0.01)
    found = logged(tmp_path, [*answered(5, version="1"), *answered(5, version="2")])
    described = [event["version"] for event in found if event["changed"] is not None]
    assert (len(found), sorted(described)) == (10, ["1", "2"])


def test_pictures_beyond_the_bound_are_not_held_and_their_requests_are_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "HELD_BYTES", len(PICTURE))
    found = logged(tmp_path, answered(3))
    assert [event["brightness"] for event in found] == [None] * 3


@pytest.mark.parametrize(
    ("body", "error"),
    [(b'{"reason": "truncated"}', "truncated"), (b"{}", "unknown"), (b"<html>", "unknown"), (b"[]", "unknown")],
)
def test_the_reason_of_the_model_server_is_the_error(tmp_path: Path, body: bytes, error: str) -> None:
    (event,) = logged(tmp_path, answered(status=422, body=body))
    assert (event["status"], event["error"], event["brightness"]) == (422, error, None)


def test_a_request_that_no_handler_saw_is_logged(tmp_path: Path) -> None:
    exchange = Exchange("r", status=422)
    exchange.note(reason="invalid_parameter")
    (event,) = logged(tmp_path, [exchange])
    assert (event["unit"], event["variant"], event["error"]) == ("", "", "invalid_parameter")


def test_an_exposure_is_logged_once_a_unit_and_variant(tmp_path: Path) -> None:
    off = ON._replace(variant="off")
    exchanges = [
        *answered(3, unit="a", exposures=(ON,), attributes={"device": "phone"}),
        *answered(1, unit="a", exposures=(off,)),
        *answered(2, unit="b", exposures=(ON,)),
    ]
    found = logged(tmp_path, exchanges, "exposures")
    assert sorted((event["unit"], event["variant"]) for event in found) == [("a", "off"), ("a", "on"), ("b", "on")]


def test_an_exposure_that_could_not_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    in_the_way = tmp_path / "log" / "exposures"
    in_the_way.write_text("not a folder")
    assert logged(tmp_path, answered(1, unit="a", exposures=(ON,))) != []
    with EventLog(tmp_path / "log") as events:
        log = RequestLog(events)
        log.done(answered(1, unit="a", exposures=(ON,))[0], 0.1)
        time.sleep(1.5)  # the log does not try again at once
        in_the_way.unlink()
        log.done(answered(1, unit="a", exposures=(ON,))[0], 0.1)
        log.close()
    found = newest(tmp_path / "log", str(tmp_path / "store"), "exposures", datetime(2026, 1, 1, tzinfo=UTC), 10)
    assert len(found) == 1


@pytest.mark.parametrize(("seconds", "kept"), [(0.0, 0), (3600.0, 1), (1e-9, 3)])
def test_masked_answers_are_kept_at_the_stated_pace(tmp_path: Path, seconds: float, kept: int) -> None:
    found = logged(tmp_path, answered(3, version="4"), "examples", example_seconds=seconds)
    assert len(found) == kept
    for example in found:
        assert example["version"] == "4"
        assert decode(base64.b64decode(example["picture"]), Limits()).shape == (64, 64, 3)


def test_what_is_kept_is_the_answer_and_never_the_picture_that_came_in(tmp_path: Path) -> None:
    black = encode(np.zeros((64, 64, 3), dtype=np.uint8), "PNG")
    (example,) = logged(tmp_path, answered(body=black), "examples", example_seconds=1.0)
    assert not decode(base64.b64decode(example["picture"]), Limits()).any()
