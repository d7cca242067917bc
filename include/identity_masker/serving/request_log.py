"""Writes one event for each masking request, and the exposures it brought, after its answer was sent."""

from __future__ import annotations

import json
import queue
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from identity_masker.serving.answers import PAIRED
from identity_masker.serving.appearance import Appearance, appearance
from identity_masker.serving.consented import Consented
from identity_masker.serving.examples import Examples
from identity_masker.serving.exposures import Attributes, Exposure, Seen
from identity_masker.serving.quality import Quality, Sampler, Scores
from identity_masker.serving.quality_measures import QualityMeasures
from identity_masker.serving.upstream import Reply
from identity_masker.telemetry import logs
from identity_masker.telemetry.events import EventLog
from identity_masker.telemetry.http import CLIENT_GONE, Exchange

HELD_BYTES = 64 << 20
"""Pictures that wait for their description; beyond it events are written without one."""

DESCRIBED_RATE = 50.0
"""Requests of a version that are described a second, at most: describing takes longer than all else that the gateway
does for a request, and what looks at descriptions needs thousands a night, not millions."""

HELD_EVENTS = 50_000
GATHER_SECONDS = 0.01
"""The thread looks so often, at most: woken by every request, it would take the interpreter from the event loop in the
middle of the next one. Requests of so long are lost to a SIGKILL."""

CLOSE_SECONDS = 2.0
OK = 200
log = logs.logger(__name__)


@dataclass(slots=True)
class Served:
    """What the gateway knows of one request; it fills this in as it goes along.

    `consent`: whether the picture may be kept. `strength`: the masking strength that the user chose once, for requests
    that ask for none. `paired`: of a shadow's answer, the version and the answer that the user got.
    """

    unit: str = ""
    source: str = ""
    attributes: Attributes = field(default_factory=dict)
    strength: float | None = None
    exposures: tuple[Exposure, ...] = ()
    variant: str = ""
    version: str = ""
    semver: str = ""
    via: str = ""
    picture: bytes = b""
    reply: Reply | None = None
    consent: bool = False
    paired: tuple[str, Reply] | None = None

    def held(self) -> int:
        """Bytes of its pictures."""
        replies = [self.reply, self.paired[1] if self.paired else None]
        return len(self.picture) + sum(len(reply.body) for reply in replies if reply)


class _Answered(NamedTuple):
    """A request in the queue. `began`: seconds since 1970; `held`: bytes of the pictures to describe, 0 for none."""

    served: Served
    exchange: Exchange
    seconds: float
    began: float
    held: int

    @property
    def status(self) -> int:
        return self.exchange.status or CLIENT_GONE

    @property
    def time(self) -> int:
        """Microseconds since 1970, as an event holds it."""
        return round(self.began * 1_000_000)


class Quest(NamedTuple):
    """How the quality of answers is measured: on which, by whom, and where it is counted."""

    sampler: Sampler
    scores: Scores
    measures: QualityMeasures


class RequestLog:
    """A queue and the thread that describes pictures and appends events. Nothing here fails a request.

    The event of a request whose quality is measured is appended once it is known.
    """

    def __init__(
        self,
        events: EventLog,
        quest: Quest | None = None,
        consented: Consented | None = None,
        *,
        example_seconds: float = 0.0,
    ) -> None:
        """`consented` keeps pictures that may be. `example_seconds`: between two masked answers that are kept, or 0."""
        self._quest = quest
        self._consented = consented
        self._requests = events.writer("requests")
        self._exposures = events.writer("exposures")
        self._examples = Examples(events.writer("examples"), example_seconds)
        self._dropped = events.measures.dropped.labels("requests", "busy")
        self._seen = Seen()
        self._described = Sampler(1.0, DESCRIBED_RATE)
        self._queue: queue.SimpleQueue[_Answered | None] = queue.SimpleQueue()
        # Each is changed by one thread alone, so neither needs a lock.
        self._taken = 0
        self._released = 0
        self._describe_until = float("inf")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    def done(self, exchange: Exchange, seconds: float) -> None:
        """Take over a request whose answer was sent. Takes microseconds."""
        served = exchange.evidence if isinstance(exchange.evidence, Served) else Served()
        if self._queue.qsize() >= HELD_EVENTS:
            self._dropped.inc()
            return
        held = served.held()
        room = exchange.status == OK and self._taken - self._released + held <= HELD_BYTES
        described = room and self._described.spends(served.version)
        if described:
            self._taken += held
        else:
            served.picture, served.paired = b"", None
            # The body of a problem names its reason.
            served.reply = served.reply if exchange.status >= 400 else None
        self._queue.put(_Answered(served, exchange, seconds, time.time() - seconds, held if described else 0))

    def close(self) -> None:
        """Write what waits; what is not described within 2 s is written without a description."""
        self._describe_until = time.monotonic() + CLOSE_SECONDS
        self._queue.put(None)
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while (answered := self._queue.get()) is not None:
            try:
                self._write(answered)
            except Exception:  # the next request is to be logged all the same
                log.exception("request_not_logged")
            self._released += answered.held
            if self._queue.empty():
                self._closing.wait(GATHER_SECONDS)

    def _write(self, answered: _Answered) -> None:
        for exposure in answered.served.exposures:
            self._expose(answered, exposure)
        looks, served = self._appearance(answered), answered.served
        event = _request(answered, looks)
        event["sample"] = self._sample(answered, str(event["event_id"])) if looks.masked_code else None
        if not self._quests(answered, event):
            self._requests.append(event)
        if looks.masked_code and served.reply is not None and served.paired is None:
            self._examples.offer(answered.exchange.request_id, served.version, served.reply.body, answered.time)

    def _sample(self, answered: _Answered, event_id: str) -> str | None:
        """Where the picture that came in is kept, if it may be and is."""
        served = answered.served
        if self._consented is None or not served.consent:
            return None
        return self._consented.keep(served.picture, event_id, served.unit, answered.time)

    def _quests(self, answered: _Answered, event: dict[str, Any]) -> bool:
        """Whether the quality is being measured; the event is then appended with it."""
        served, quest = answered.served, self._quest
        if quest is None or not answered.held or served.reply is None:
            return False
        shadow = served.paired is not None
        takes = quest.sampler.spends if shadow else quest.sampler.takes
        if not quest.scores.examiner or not takes(served.version):
            return False
        after = (served.reply.body, *((served.paired[1].body,) if served.paired else ()))

        def scored(qualities: list[Quality], examiner: str) -> None:
            quest.measures.add(qualities[0], served.version, served.via, examiner)
            if served.paired is not None:
                quest.measures.add(qualities[1], served.paired[0], PAIRED, examiner)
            self._requests.append({**event, **qualities[0]._asdict()})

        taken = quest.scores.offer(served.picture, after, scored)
        if not taken:
            quest.measures.dropped.labels("busy").inc()
        return taken

    def _appearance(self, answered: _Answered) -> Appearance:
        reply = answered.served.reply
        if not answered.held or reply is None or time.monotonic() > self._describe_until:
            return Appearance()
        return appearance(answered.served.picture, reply.body)

    def _expose(self, answered: _Answered, exposure: Exposure) -> None:
        served = answered.served
        key = (exposure.experiment, served.unit, exposure.variant)
        if key in self._seen:
            return
        event = {
            "event_id": uuid.uuid4().hex,
            "time": answered.time,
            "experiment": exposure.experiment,
            "unit": served.unit,
            "variant": exposure.variant,
            "forced": exposure.forced,
            "attributes": _json(served.attributes),
        }
        if self._exposures.append(event):
            self._seen.add(key)


def _request(answered: _Answered, looks: Appearance) -> dict[str, Any]:
    served = answered.served
    return {
        "event_id": uuid.uuid4().hex,
        "time": answered.time,
        "request_id": answered.exchange.request_id,
        "unit": served.unit,
        "source": served.source or None,
        "variant": served.variant,
        "version": served.version,
        "semver": served.semver,
        "latency_ms": answered.seconds * 1000,
        "status": answered.status,
        "error": _error(answered),
        **looks._asdict(),
        **Quality()._asdict(),
        "via": served.via or None,
        # Testers who were put into a variant are served it, but not counted.
        "experiments": _json({each.experiment: each.variant for each in served.exposures if not each.forced}),
    }


def _error(answered: _Answered) -> str:
    """The reason code of the problem: the gateway's own, or that of the model server."""
    if answered.status < 400:
        return ""
    reason = str(answered.exchange.fields.get("reason", ""))
    if reason or answered.served.reply is None:
        return reason or ("client_gone" if answered.status == CLIENT_GONE else "unknown")
    try:
        return str(json.loads(answered.served.reply.body)["reason"])[:100]
    except (ValueError, KeyError, TypeError):
        return "unknown"


def _json(document: Mapping[str, object]) -> str:
    return json.dumps(document, separators=(",", ":"), sort_keys=True)
