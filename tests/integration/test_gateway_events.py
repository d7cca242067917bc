"""What the gateway writes to the event log, in front of real HTTP servers."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.integration.test_gateway import KEY, PICTURE, PNG, World, canary
from tests.unit.serving.support import NegativeMasker, eventually

from identity_masker.faces.decode import Limits, decode
from identity_masker.serving.exposures import Exposure
from identity_masker.serving.routing import only
from identity_masker.serving.units import unit
from identity_masker.telemetry.events import compact, samples
from identity_masker.telemetry.events.kinds import Kind
from identity_masker.telemetry.events.reading import newest

ALICE = unit(KEY, "alice")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with contextlib.ExitStack() as stack:

        def world(assign: Any = None) -> World:
            made = World(tmp_path, stack, assign)
            made.start("1")
            made.route(only("1", "1.0.1"))
            eventually(f"{made.base}/health/ready")
            return made

        yield world


def logged(world: World, kind: Kind, count: int) -> list[dict[str, Any]]:
    """The events of a kind, oldest first, once there are so many."""
    deadline = time.monotonic() + 5
    while True:
        found = newest(world.events, str(world.events.with_name("store")), kind, EPOCH, 1000)[::-1]
        if len(found) >= count:
            assert len(found) == count
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_a_masked_picture_is_one_event_that_holds_no_user_and_no_picture(make: Make) -> None:
    world, before = make(), datetime.now(UTC)
    answer = world.mask(**{"x-user-id": "alice", "x-request-id": "r-1"})
    (event,) = logged(world, "requests", 1)
    assert before <= datetime.fromisoformat(event["time"]) <= datetime.now(UTC)
    expected = {"request_id": "r-1", "unit": ALICE, "variant": "champion", "version": "1", "semver": "1.0.1"}
    assert expected.items() <= event.items()
    assert (event["status"], event["error"], event["experiments"]) == (200, "", "{}")
    assert 0 < event["latency_ms"] < 5000
    assert 0.4 < event["brightness"] < 0.6  # noise of all levels
    assert event["contrast"] > 0.1 < event["sharpness"]
    assert event["changed"] > 0.9  # its negative
    content = b"".join(path.read_bytes() for path in world.events.rglob("*") if path.is_file())
    assert b"alice" not in content
    assert PICTURE[40:60] not in content
    assert answer.status_code == 200


def test_a_picture_is_kept_with_consent_and_goes_when_that_is_taken_back(make: Make) -> None:
    world = make()
    store = world.events.with_name("store")
    for consent in ({"x-sample-consent": "yes"}, {"x-sample-consent": "no"}, {}):
        assert world.mask(**{"x-user-id": "alice"}, **consent).status_code == 200
    assert world.mask(**{"x-sample-consent": "certainly"}).status_code == 422
    places = [event["sample"] for event in logged(world, "requests", 4)]
    assert [bool(place) for place in places] == [True, False, False, False]
    assert compact(world.events, str(store), datetime.now(UTC)).samples == 1
    kept, sent = (decode(file, Limits()).mean(axis=2).ravel() for file in ((store / places[0]).read_bytes(), PICTURE))
    assert np.corrcoef(kept, sent)[0, 1] > 0.5  # the answer is its negative
    assert f"/{ALICE}/" in places[0]
    assert samples.withdraw(world.events, str(store), ALICE) == 1
    assert not (store / places[0]).exists()
    assert 'masker_event_log_samples_total{outcome="kept"} 1.0' in world.http.get("/metrics").text


@pytest.mark.parametrize(
    ("content", "headers", "status", "error"),
    [
        (b"", PNG, 400, "empty_body"),
        (b"x", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        (bytes(100_001), PNG, 413, "body_too_large"),
        (b"no picture", PNG, 422, "not_an_image"),
        (PICTURE, {**PNG, "x-user-attributes": "[1]"}, 422, "invalid_parameter"),
        (PICTURE, {**PNG, "x-consistency-key": ""}, 422, "invalid_parameter"),
    ],
)
def test_a_refused_request_is_an_event_with_its_reason(
    make: Make, content: bytes, headers: dict[str, str], status: int, error: str
) -> None:
    world = make()
    assert world.http.post("/v1/mask", content=content, headers=headers).status_code == status
    (event,) = logged(world, "requests", 1)
    assert (event["status"], event["error"], event["brightness"]) == (status, error, None)


def test_a_client_that_leaves_is_an_event(make: Make) -> None:
    world, slow = make(), NegativeMasker()
    world.start("2", masker=slow)
    world.route(only("2", "1.0.2"))
    time.sleep(0.4)
    slow.gate.clear()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{world.base}/v1/mask", content=PICTURE, headers=PNG, timeout=0.3)
    (event,) = logged(world, "requests", 1)
    slow.gate.set()
    assert (event["status"], event["error"], event["version"]) == (499, "client_gone", "2")


def test_no_version_to_mask_with_is_an_event(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        world = World(tmp_path, stack)
        eventually(f"{world.base}/health/live")
        time.sleep(0.5)
        world.mask()
        (event,) = logged(world, "requests", 1)
    assert (event["status"], event["error"], event["variant"]) == (503, "no_model", "")


def test_nothing_but_masking_is_a_request(make: Make) -> None:
    world = make()
    world.http.get("/v1/routing")
    world.http.post("/v1/events", json={"events": []}, headers={"x-user-id": "alice"})
    world.mask()
    assert len(logged(world, "requests", 1)) == 1


def softer(_unit: str, attributes: Mapping[str, object]) -> Sequence[Exposure]:
    """Users with phones meet version 2; everybody else is in the control, which the routing table serves."""
    if not attributes:
        return []
    on = attributes.get("device") == "phone"
    return [Exposure("softer", "on" if on else "off", "2" if on else None, forced=bool(attributes.get("tester")))]


def test_an_experiment_serves_its_version_and_each_exposure_is_logged_once(make: Make) -> None:
    world = make(softer)
    world.start("2")
    time.sleep(0.5)
    phone, laptop = ({"x-user-attributes": json.dumps({"device": name})} for name in ("phone", "laptop"))
    for _ in range(3):
        answer = world.mask(**{"x-user-id": "alice"}, **phone)
        assert (answer.headers["x-variant"], answer.headers["x-model-version"]) == ("softer:on", "1.0.2")
        assert world.mask(**{"x-user-id": "bob"}, **laptop).headers["x-variant"] == "champion"
    assert world.mask(**phone).headers["x-variant"] == "champion"  # nobody known
    assert world.mask(**{"x-user-id": "carol"}).headers["x-variant"] == "champion"
    requests, exposures = logged(world, "requests", 8), logged(world, "exposures", 2)
    assert {(e["unit"], e["experiment"], e["variant"], e["forced"], e["attributes"]) for e in exposures} == {
        (ALICE, "softer", "on", False, '{"device":"phone"}'),
        (unit(KEY, "bob"), "softer", "off", False, '{"device":"laptop"}'),
    }
    assert requests[0]["experiments"] == '{"softer":"on"}'
    assert (requests[0]["variant"], requests[0]["version"], requests[0]["semver"]) == ("softer:on", "2", "1.0.2")


def test_an_experiment_without_a_server_is_served_by_the_routing_table_and_still_exposes(make: Make) -> None:
    world = make(softer)
    answer = world.mask(**{"x-user-id": "alice", "x-user-attributes": '{"device": "phone"}'})
    assert (answer.status_code, answer.headers["x-variant"]) == (200, "champion")
    assert logged(world, "exposures", 1)[0]["variant"] == "on"


def test_a_tester_is_logged_as_forced_and_is_not_in_the_request(make: Make) -> None:
    world = make(softer)
    world.mask(**{"x-user-id": "alice", "x-user-attributes": '{"device": "phone", "tester": true}'})
    assert logged(world, "exposures", 1)[0]["forced"] is True
    assert logged(world, "requests", 1)[0]["experiments"] == "{}"


def test_an_assignment_that_fails_costs_the_user_nothing(make: Make) -> None:
    def broken(_unit: str, _attributes: Mapping[str, object]) -> Sequence[Exposure]:
        raise KeyError("experiment")

    world = make(broken)
    assert world.mask(**{"x-user-id": "alice"}).status_code == 200
    assert "masker_gateway_assignment_failures_total 1.0" in world.http.get("/metrics").text


def test_a_log_that_cannot_be_written_fails_no_request_and_is_counted(make: Make, tmp_path: Path) -> None:
    (tmp_path / "events").write_text("not a folder")
    world = make()
    assert world.mask(**{"x-user-id": "alice"}).status_code == 200
    time.sleep(0.3)
    assert 'masker_event_log_dropped_total{kind="requests",reason="io_error"} 1.0' in world.http.get("/metrics").text
    answer = world.http.post("/v1/events", json={"events": [{"name": "kept", "value": 1}]}, headers={"x-user-id": "a"})
    assert (answer.status_code, answer.json()["reason"]) == (503, "event_log")


def test_outcomes_are_accepted_with_time_and_id(make: Make) -> None:
    world, now = make(), datetime.now(UTC)
    day = (now - timedelta(days=1)).replace(microsecond=0)
    given = [
        {"name": "kept", "value": 1, "event_id": "e-1", "time": day.isoformat()},
        {"name": "kept", "value": 1, "event_id": "e-1", "time": day.isoformat()},
        {"name": "seconds", "value": 2.5},
    ]
    answer = world.http.post("/v1/events", json={"events": given}, headers={"x-user-id": "alice"})
    assert (answer.status_code, answer.json()) == (200, {"accepted": 3})
    first, second = logged(world, "outcomes", 2)  # the same id counts once
    assert (first["unit"], first["name"], first["value"]) == (ALICE, "kept", 1.0)
    assert datetime.fromisoformat(first["time"]) == day
    assert now <= datetime.fromisoformat(second["time"]) <= datetime.now(UTC)
    world.http.post("/v1/events", json={"events": given[:1]}, headers={"x-user-id": "bob"})
    assert len(logged(world, "outcomes", 3)) == 3  # another user's e-1


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"name": "kept"}, "value"),
        ({"name": "kept", "value": "NaN"}, "value"),
        ({"name": "Kept!", "value": 1}, "name"),
        ({"name": "kept", "value": 1, "user": "bob"}, "user"),
        ({"name": "kept", "value": 1, "time": "2026-03-01T12:00:00"}, "time"),
        ({"name": "kept", "value": 1, "time": "2090-03-01T12:00:00Z"}, "events.1.time"),
        ({"name": "kept", "value": 1, "time": "2001-03-01T12:00:00Z"}, "older than 30 days"),
        ({"name": "kept", "value": 1, "event_id": ""}, "event_id"),
    ],
)
def test_a_wrong_outcome_refuses_the_whole_request(make: Make, event: dict[str, Any], words: str) -> None:
    world = make()
    body = {"events": [{"name": "kept", "value": 1}, event]}
    answer = world.http.post("/v1/events", json=body, headers={"x-user-id": "alice"})
    assert (answer.status_code, answer.json()["reason"]) == (422, "invalid_events")
    assert words in answer.json()["detail"]
    assert logged(world, "outcomes", 0) == []


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{}", {"content-type": "application/json"}, 422),  # no user
        (b"{}", {"x-user-id": "a"}, 415),
        (b"", {"x-user-id": "a", "content-type": "application/json"}, 400),
        (b"{" * 100_000, {"x-user-id": "a", "content-type": "application/json"}, 422),
        (b"[" * 2_000_000, {"x-user-id": "a", "content-type": "application/json"}, 413),
    ],
)
def test_outcomes_that_are_no_outcomes_are_refused(
    make: Make, content: bytes, headers: dict[str, str], status: int
) -> None:
    assert make().http.post("/v1/events", content=content, headers=headers).status_code == status


def test_events_survive_the_end_of_the_gateway(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        world = World(tmp_path, stack)
        world.start("1")
        world.start("2")
        world.route(canary(0.5))
        time.sleep(0.6)
        for number in range(20):
            world.mask(**{"x-user-id": f"user-{number}"})
    found = logged(world, "requests", 20)
    assert {event["variant"] for event in found} == {"champion", "canary"}
    assert all(event["brightness"] is not None for event in found)
    assert not list(world.events.rglob("*.open"))
