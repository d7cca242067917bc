from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.serving.cluster import names, pod_state
from identity_masker.serving.control import Endpoint

READY = {"type": "Ready", "status": "True"}
UNREADY = {"type": "Ready", "status": "False"}
REFUSAL = {"exitCode": 2, "reason": "Error", "message": '{"event": "x"}\nmasker: the files are not the ones.\n'}


def pod(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    annotations = {names.VERSION: "7"}
    return {"metadata": {"name": "masker-v7-abc", "annotations": annotations, **metadata}, "status": status}


def status(condition: dict[str, str], state: dict[str, Any], last: dict[str, Any] | None = None) -> dict[str, Any]:
    server = {
        "name": "server", "containerID": "containerd://1", "restartCount": 3,
        "state": state, "lastState": {"terminated": last} if last else {},
    }  # fmt: skip
    return {"phase": "Running", "podIP": "10.0.0.9", "conditions": [condition], "containerStatuses": [server]}


def seen(document: dict[str, Any]) -> Endpoint:
    found = pod_state.endpoint(document, "me", 8100)
    assert found is not None
    return found


def test_a_ready_pod_is_an_endpoint_at_its_own_address() -> None:
    found = seen(pod(status(READY, {"running": {}})))
    assert (found.version, found.url, found.state, found.restarts) == ("7", "http://10.0.0.9:8100", "ready", 3)
    assert found.slot == "masker-v7-abc"


@pytest.mark.parametrize(
    ("condition", "state", "last", "expected", "words"),
    [
        (UNREADY, {"running": {}}, None, "starting", "not ready yet"),
        (UNREADY, {"waiting": {"reason": "ContainerCreating"}}, None, "starting", "not ready yet"),
        (UNREADY, {"waiting": {"reason": "ImagePullBackOff", "message": "no x"}}, None, "failed", "no x"),
        (UNREADY, {"waiting": {"reason": "CrashLoopBackOff"}}, REFUSAL, "refused", "the files are not the ones."),
        (UNREADY, {"terminated": REFUSAL}, None, "refused", "the files are not the ones."),
        (UNREADY, {"running": {}}, REFUSAL, "refused", "the files are not the ones."),
        (READY, {"running": {}}, REFUSAL, "ready", ""),
        (UNREADY, {"waiting": {"reason": "CrashLoopBackOff"}}, {"exitCode": 137, "reason": "OOMKilled"}, "failed",
         "OOMKilled, exit code 137"),
        (UNREADY, {"running": {}}, {"exitCode": 137, "reason": "OOMKilled"}, "starting", "before: OOMKilled"),
    ],
)  # fmt: skip
def test_the_state_says_whether_another_start_may_help_and_why_not(
    condition: dict[str, str], state: dict[str, Any], last: dict[str, Any] | None, expected: str, words: str
) -> None:
    found = seen(pod(status(condition, state, last)))
    assert found.state == expected
    assert words in found.detail


def test_a_pod_that_is_going_drains_whatever_it_was() -> None:
    going = {"deletionTimestamp": "2026-11-23T12:00:00Z"}
    for condition, last in ((READY, None), (UNREADY, REFUSAL)):
        assert seen(pod(status(condition, {"running": {}}, last), **going)).state == "draining"


def test_a_pod_that_no_node_takes_says_so_and_has_an_address_that_nobody_answers() -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    found = seen(pod({"phase": "Pending", "conditions": [unscheduled]}))
    assert (found.state, found.detail) == ("starting", "no node takes it: 0/3 nodes are available")
    assert found.url == "http://masker-v7-abc.invalid:8100"


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_has_ended_for_good_is_no_endpoint(phase: str) -> None:
    assert pod_state.endpoint(pod({"phase": phase}), "me", 8100) is None


@given(st.text(min_size=1), st.text(min_size=1))
def test_another_container_in_the_same_pod_is_another_server(one: str, other: str) -> None:
    def pid(container: str) -> int:
        document = pod(status(READY, {"running": {}}))
        document["status"]["containerStatuses"][0]["containerID"] = container
        return seen(document).pid

    assert 0 <= pid(one) < 2**31
    assert pid(one) == pid(one)
    if len(one) == len(other) <= 4:
        assert (pid(one) == pid(other)) == (one == other)


def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    document = pod(status(READY, {"running": {}}))
    document["status"]["podIP"] = "fd00::9"
    assert seen(document).url == "http://[fd00::9]:8100"
