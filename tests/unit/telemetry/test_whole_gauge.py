from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from identity_masker.telemetry.whole_gauge import WholeGauge

SHOWN = st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), st.floats(-10, 10))


@given(st.lists(SHOWN, max_size=6))
def test_shows_the_last_values_and_no_others(rounds: list[dict[tuple[str, ...], float]]) -> None:
    registry = CollectorRegistry()
    gauge = WholeGauge("g", "-", ["one", "two"], registry)
    for values in rounds:
        gauge.replace(values)
        found = {(s.labels["one"], s.labels["two"]): s.value for m in registry.collect() for s in m.samples}
        assert found == values
