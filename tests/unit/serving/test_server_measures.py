from __future__ import annotations

import pytest

from identity_masker.serving.server_measures import STATES, ServerMeasures
from identity_masker.telemetry.metrics import HttpMetrics


@pytest.mark.parametrize("state", STATES)
def test_exactly_one_state_is_set(state: str) -> None:
    metrics = HttpMetrics("server")
    measures = ServerMeasures(metrics, capacity=64, taken=lambda: 0.0)
    measures.state(next(each for each in STATES if each == state))
    found = {each: metrics.registry.get_sample_value("masker_server_state", {"state": each}) for each in STATES}
    assert found == {each: float(each == state) for each in STATES}


def test_a_stage_that_fails_is_not_counted() -> None:
    metrics = HttpMetrics("server")
    measures = ServerMeasures(metrics, capacity=64, taken=lambda: 0.0)
    with pytest.raises(ValueError, match="no picture"), measures.timed("decode"):
        raise ValueError("no picture")
    assert metrics.registry.get_sample_value("masker_server_stage_seconds_count", {"stage": "decode"}) == 0
    with measures.timed("decode"):
        pass
    assert metrics.registry.get_sample_value("masker_server_stage_seconds_count", {"stage": "decode"}) == 1
