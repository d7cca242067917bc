from __future__ import annotations

from identity_masker.errors import BadInputError, ConflictError, MaskerError, NotFoundError, TemporaryError


def test_message_says_what_got_allowed_and_fix() -> None:
    error = BadInputError("the size is odd", got=63, allowed="64 to 256", fix="set --size")
    assert str(error) == "the size is odd; got 63; expected 64 to 256; to fix: set --size."


def test_message_leaves_out_what_is_not_known() -> None:
    assert str(MaskerError("it broke.")) == "it broke."


def test_zero_is_shown_as_what_was_got() -> None:
    assert "got 0" in str(MaskerError("none were accepted", got=0))


def test_exit_codes_tell_airflow_what_to_retry() -> None:
    assert [e.exit_code for e in (MaskerError, BadInputError, NotFoundError, ConflictError, TemporaryError)] == [
        1,
        2,
        2,
        2,
        75,
    ]
