from __future__ import annotations

import io
import json
import logging

import pytest

from identity_masker.telemetry import logs


@pytest.fixture
def stream() -> io.StringIO:
    output = io.StringIO()
    logs.configure(level="INFO", correlation_id="run-7", stream=output, json_lines=True)
    return output


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_line_is_json_with_the_correlation_id(stream: io.StringIO) -> None:
    logs.logger("a").info("trained", steps=3)
    logging.getLogger("b").warning("old %s", "style")
    first, second = lines(stream)
    assert (first["event"], first["steps"], first["correlation_id"]) == ("trained", 3, "run-7")
    assert (second["event"], second["level"], second["correlation_id"]) == ("old style", "warning", "run-7")


def test_sensitive_fields_are_masked_at_any_depth(stream: io.StringIO) -> None:
    logs.logger("a").info("call", password="hunter2", headers={"Authorization": "Bearer abc", "accept": "x"})
    assert "hunter2" not in stream.getvalue()
    assert "abc" not in stream.getvalue()
    assert lines(stream)[0]["headers"] == {"Authorization": "***", "accept": "x"}


def test_traceback_does_not_show_local_variables(stream: io.StringIO) -> None:
    def fail(hidden: str) -> None:
        raise ValueError(f"failed with {len(hidden)} characters")

    try:
        fail("hunter2")
    except ValueError:
        logs.logger("a").exception("crashed")
    assert "hunter2" not in stream.getvalue()
    assert "failed with 7" in stream.getvalue()


def test_the_id_of_a_token_is_shown_and_a_token_is_not_wherever_it_stands(stream: io.StringIO) -> None:
    token = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
    logs.logger("a").info("request", token_id="7f", detail=f"got {token}")
    logging.getLogger("b").warning("refused %s", token)
    assert token.split(".")[1] not in stream.getvalue()
    assert [line.get("token_id") for line in lines(stream)] == ["7f", None]
    assert lines(stream)[1]["event"] == "refused ***"


def test_lines_below_the_level_are_not_written_and_a_new_configuration_holds_at_once(stream: io.StringIO) -> None:
    log = logs.logger("a")
    log.debug("quiet")
    log.info("one")
    second = io.StringIO()
    logs.configure(level="ERROR", correlation_id="", stream=second, json_lines=True)
    log.warning("two")
    log.error("three", shape=(1, 2))
    assert [line["event"] for line in lines(stream)] == ["one"]
    assert [(line["event"], line["level"], line["logger"]) for line in lines(second)] == [("three", "error", "a")]


def test_a_log_that_cannot_be_written_fails_nothing(stream: io.StringIO) -> None:
    stream.close()
    logs.logger("a").info("nobody reads this")
