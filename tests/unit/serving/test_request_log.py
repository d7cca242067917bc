from __future__ import annotations

import base64
import io
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from tests.unit.serving.support import noise

from identity_masker.faces.decode import Limits, decode
from identity_masker.serving import request_log
from identity_masker.serving.consented import Consented
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
    folder: Path, exchanges: list[Exchange], kind: Kind = "requests", example_seconds: float = 0.0, share: float = 0.0
) -> list[dict[str, Any]]:
    with EventLog(folder / "log") as events:
        consented = Consented(folder / "log", share, events.measures)
        log = RequestLog(events, consented=consented, example_seconds=example_seconds)
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


def with_a_place() -> bytes:
    """A photograph that says where it was taken."""
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "the garden behind my house"
    target = io.BytesIO()
    Image.fromarray(noise()).save(target, "JPEG", exif=exif)
    return target.getvalue()


def test_a_picture_is_kept_only_with_consent_and_only_where_a_share_is_set(tmp_path: Path) -> None:
    for name, share, consent in (("none", 1.0, False), ("off", 0.0, True)):
        found = logged(tmp_path / name, answered(3, consent=consent), share=share)
        assert [event["sample"] for event in found] == [None] * 3
        assert not (tmp_path / name / "log" / "samples").exists()


def test_a_picture_with_consent_is_kept_without_its_metadata_and_the_event_says_where(tmp_path: Path) -> None:
    exchanges = answered(1, unit="ab", consent=True)
    exchanges[0].evidence.picture = with_a_place()  # type: ignore[attr-defined]
    (event,) = logged(tmp_path, exchanges, share=1.0)
    day = event["time"][:10]
    assert event["sample"] == f"samples/date={day}/ab/{event['event_id']}.jpg"
    (file,) = (tmp_path / "log" / "samples").iterdir()
    assert file.name == f"{day}.ab.{event['event_id']}.jpg"
    assert b"garden" in with_a_place()
    assert b"garden" not in file.read_bytes()
    assert decode(file.read_bytes(), Limits()).shape == noise().shape


def test_the_stated_share_is_kept(tmp_path: Path) -> None:
    found = logged(tmp_path, answered(60, consent=True), share=0.5)
    kept = sum(event["sample"] is not None for event in found)
    assert kept == len(list((tmp_path / "log" / "samples").iterdir()))
    assert 10 <= kept <= 50  # outside once in 50 million runs


def test_a_refused_picture_is_never_kept(tmp_path: Path) -> None:
    (event,) = logged(tmp_path, answered(status=422, consent=True), share=1.0)
    assert event["sample"] is None


def test_a_place_that_cannot_be_written_costs_the_sample_and_not_the_event(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "samples").write_text("in the way")
    (event,) = logged(tmp_path, answered(consent=True), share=1.0)
    assert (event["sample"], event["status"]) == (None, 200)
