"""What a gateway knows of the world: the newest routing table and the model servers that answer."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from identity_masker.errors import MaskerError
from identity_masker.serving.control import Control, Endpoint, Revision
from identity_masker.serving.upstream import Upstream
from identity_masker.telemetry import logs

POLL_SECONDS = 0.25
LOOK_SECONDS = 0.05
"""Between two looks at the number of the routing table: a version that is taken back answers for no longer."""

STALE_SECONDS = 15.0
"""A fleet writes each endpoint's heartbeat every second; one as old as this has no fleet any more."""

EJECT_SECONDS = (0.5, 1.0, 2.0, 5.0)
ERRORS = frozenset({500, 502, 504})
"""Answers that speak against a server; 503 only says that it is busy."""

DOUBTFUL_ERRORS = 5
"""So many in a row make a server doubtful."""

log = logs.logger(__name__)


@dataclass
class Server:
    """A model server as this gateway sees it.

    One whose connections fail is left out for a while, longer each time in a row. One that keeps answering 5xx is
    passed over while another one of its version does not: a picture that no model can mask must not empty a version.
    """

    endpoint: Endpoint
    upstream: Upstream
    failures: int = 0
    ejected_until: float = 0.0
    errors: int = 0
    doubted_until: float = 0.0

    def usable(self, now: float) -> bool:
        return self.endpoint.state == "ready" and now >= self.ejected_until

    def trusted(self, now: float) -> bool:
        return self.usable(now) and now >= self.doubted_until

    def failed(self) -> None:
        """The connection failed."""
        self.ejected_until = time.monotonic() + _pause(self.failures)
        self.failures += 1

    def answered(self, status: int) -> None:
        """It answered; `status` 504 when its answer did not come in time."""
        self.failures = 0
        if status not in ERRORS:
            self.errors = 0
            return
        self.errors += 1
        if self.errors >= DOUBTFUL_ERRORS:
            self.doubted_until = time.monotonic() + _pause(self.errors - DOUBTFUL_ERRORS)


def _pause(times: int) -> float:
    return EJECT_SECONDS[min(times, len(EJECT_SECONDS) - 1)]


@dataclass
class Board:
    """The state that requests read. Only the event loop changes it; `watch` keeps it up to date."""

    revision: Revision | None = None
    servers: dict[str, Server] = field(default_factory=dict)
    read_at: float = 0.0

    def served(self) -> set[str]:
        """Versions with at least one usable model server."""
        now = time.monotonic()
        return {server.endpoint.version for server in self.servers.values() if server.usable(now)}

    def pick(self, version: str, without: Server | None = None) -> Server | None:
        """The less busy of two model servers of `version` chosen at random; never `without`.

        Which are chosen from: those that work; else those that answer errors; else those that drain, which still
        answer; else those that did not answer a moment ago, rather than nobody.
        """
        now = time.monotonic()
        same = [s for s in self.servers.values() if s.endpoint.version == version and s is not without]
        found = [s for s in same if s.trusted(now)] or [s for s in same if s.usable(now)] or _last_resort(same)
        if len(found) <= 1:
            return found[0] if found else None
        two = random.sample(found, 2)  # in random order, so that equally busy ones share
        return min(two, key=lambda server: server.upstream.in_flight)

    def apply(self, revision: Revision | None, endpoints: list[Endpoint]) -> None:
        """Take over what was read from the control database."""
        if revision is not None and (self.revision is None or revision.number != self.revision.number):
            log.info("routing_changed", revision=revision.number, author=revision.author)
        self.revision = revision
        oldest = time.time() - STALE_SECONDS
        wanted = {endpoint.url: endpoint for endpoint in endpoints if endpoint.heartbeat >= oldest}
        for url in self.servers.keys() - wanted.keys():
            self.servers.pop(url).upstream.close()
        for url, endpoint in wanted.items():
            server = self.servers.get(url)
            if server is None or server.endpoint.pid != endpoint.pid:
                if server is not None:
                    server.upstream.close()
                self.servers[url] = Server(endpoint, Upstream(url))
            else:
                server.endpoint = endpoint
        self.read_at = time.monotonic()


def _last_resort(servers: list[Server]) -> list[Server]:
    for state in ("draining", "ready"):
        if found := [server for server in servers if server.endpoint.state == state]:
            return found
    return []


class Watcher:
    """Reads the control database several times a second, and at once when the routing table changes. In a thread."""

    def __init__(self, board: Board, url: str, changed: Callable[[], None] = lambda: None) -> None:
        """`changed()` is called on the event loop after each successful read."""
        self._board = board
        self._url = url
        self._changed = changed
        self._control: Control | None = None
        self._newest: Revision | None = None
        self._read_at = 0.0
        self._stop = threading.Event()
        self.trouble = ""

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    async def __aenter__(self) -> Watcher:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.to_thread(self._thread.join, 2)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                read = self._read()
            except MaskerError as error:
                self._troubled(str(error))
            else:
                self._troubled("")
                if read is not None:
                    with contextlib.suppress(RuntimeError):  # the loop has ended; so does this thread
                        self._loop.call_soon_threadsafe(self._apply, *read)
            self._stop.wait(LOOK_SECONDS)
        if self._control is not None:
            self._control.close()

    def _read(self) -> tuple[Revision | None, list[Endpoint]] | None:
        """None when the routing table is the same and the model servers were read a moment ago."""
        if self._control is None:
            self._control = Control(self._url)
        number = self._control.revision_number()
        known = self._newest.number if self._newest else 0
        if number == known and time.monotonic() - self._read_at < POLL_SECONDS:
            return None
        if number != known:
            self._newest = self._control.revision() if number else None
        endpoints = self._control.endpoints()
        self._read_at = time.monotonic()
        return self._newest, endpoints

    def _apply(self, revision: Revision | None, endpoints: list[Endpoint]) -> None:
        self._board.apply(revision, endpoints)
        self._changed()

    def _troubled(self, trouble: str) -> None:
        """Log a change only: while the database is away, the gateway goes on with what it knows."""
        if bool(trouble) != bool(self.trouble):
            (log.error if trouble else log.info)("control_database", ok=not trouble, detail=trouble)
        self.trouble = trouble
