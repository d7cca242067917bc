"""Metrics of an event log."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class EventMeasures:
    """What was appended, what was lost and why."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.appended = Counter("masker_event_log_appended", "Events appended.", ["kind"], registry=registry)
        self.bytes = Counter("masker_event_log_bytes", "Bytes appended.", ["kind"], registry=registry)
        self.dropped = Counter(
            "masker_event_log_dropped",
            "Events that were not appended: disk_full, log_full (not compacted for long), io_error, too_large, busy.",
            ["kind", "reason"],
            registry=registry,
        )
        self.samples = Counter(
            "masker_event_log_samples",
            "Pictures with consent that were drawn to be kept, by outcome: kept, no_room, io_error.",
            ["outcome"],
            registry=registry,
        )
        self.torn = Counter(
            "masker_event_log_torn", "Lines cut off behind a crash; none was acknowledged.", registry=registry
        )
