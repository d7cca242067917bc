"""Keeps a share of the pictures whose people agreed to it: for looking into complaints and for new training data."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

from identity_masker.faces.decode import Limits, UndecodableError, decode
from identity_masker.serving.pictures import encode
from identity_masker.telemetry import logs
from identity_masker.telemetry.events import samples
from identity_masker.telemetry.events.measures import EventMeasures
from identity_masker.telemetry.events.room import Bounds

log = logs.logger(__name__)


class Consented:
    """Keeps pictures that came in, as JPEG and without their metadata. Nothing here fails a request."""

    def __init__(self, folder: Path, share: float, measures: EventMeasures, bounds: Bounds | None = None) -> None:
        """`folder`: that of the event log. `share`: of the pictures with consent, from 0 to 1."""
        self._folder = folder
        self._share = share
        self._measures = measures
        self._bounds = bounds or Bounds()
        self._random = random.Random()  # noqa: S311 - which pictures are drawn is no secret

    def keep(self, picture: bytes, event_id: str, unit: str, at: int) -> str | None:
        """Where the picture of an event will be in the store, if it is drawn and there is room.

        `at`: microseconds since 1970.
        """
        if self._random.random() >= self._share:
            return None
        try:
            content = encode(decode(picture, Limits()), "JPEG")
            time = datetime.fromtimestamp(at / 1_000_000, UTC)
            place = samples.write(self._folder, event_id, unit, time, content, self._bounds)
        except UndecodableError:
            return None
        except OSError as error:
            log.warning("sample_not_kept", why=str(error))
            self._measures.samples.labels("io_error").inc()
            return None
        self._measures.samples.labels("kept" if place else "no_room").inc()
        return place or None
