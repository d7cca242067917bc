from __future__ import annotations

from identity_masker import duck


def test_no_progress_bar_is_drawn_on_the_outputs_of_the_process() -> None:
    with duck.connect(threads=1) as connection:
        assert connection.execute("SELECT current_setting('enable_progress_bar')").fetchall() == [(False,)]
