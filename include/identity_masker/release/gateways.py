"""Evidence from several gateways: each is read by itself, and what each counted in an interval is added up."""

from __future__ import annotations

import math
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from pydantic import SecretStr

from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.release import gateway_metrics
from identity_masker.release.evidence import Arm, ArmName, Events, Histogram, Interval, Measure, Moments
from identity_masker.release.gateway_metrics import HttpGateway, Snapshot

RESOLVED = "dns+http"
"""Scheme of an address whose name stands for all gateways: a headless Service of Kubernetes."""

MOST_AT_ONCE = 16
Resolve = Callable[[str, int], list[str]]


def addresses(host: str, port: int) -> list[str]:
    """All addresses of `host`, sorted. Raises `TemporaryError` when the name is not known."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise TemporaryError(
            "the name of the gateways is not known", got=f"{host}: {error}", fix="correct MASKER_GATEWAY_URL"
        ) from error
    return sorted({str(address[0]) for *_, address in found})


class Gateways:
    """The gateways of `urls`; an address `dns+http://NAME:PORT` stands for all that the name resolves to."""

    def __init__(self, urls: str, token: SecretStr | None = None, resolve: Resolve = addresses) -> None:
        """`urls`: separated by commas. Raises `BadInputError` for one that is no address."""
        self._urls = [url.strip().rstrip("/") for url in urls.split(",")]
        for url in self._urls:
            _check(url)
        self._token, self._resolve = token, resolve

    def read(self) -> Snapshot:
        """What all of them have counted. Raises `TemporaryError` when one of them does not answer."""
        found = [each for url in self._urls for each in self._processes(url)]
        if found == self._urls and len(found) == 1:
            return HttpGateway(found[0], self._token).read()
        with ThreadPoolExecutor(min(len(found), MOST_AT_ONCE)) as pool:
            snapshots = list(pool.map(lambda url: HttpGateway(url, self._token).read(), found))
        return together(dict(zip(found, snapshots, strict=True)))

    def _processes(self, url: str) -> list[str]:
        if not url.startswith(f"{RESOLVED}:"):
            return [url]
        parts = urlsplit(url)
        hosts = self._resolve(str(parts.hostname), parts.port or 80)
        return [f"http://{f'[{host}]' if ':' in host else host}:{parts.port or 80}" for host in hosts]


def together(processes: Mapping[str, Snapshot]) -> Snapshot:
    """One snapshot of several: a routing table counts as read when all have read it.

    The examiner is that of most of them; what another one scored is not in it.
    """
    names = Counter(each.examiner for each in processes.values() if each.examiner)
    examiner = min(names, key=lambda name: (-names[name], name)) if names else ""
    return Snapshot(
        process_start=min(each.process_start for each in processes.values()),
        revision=min(each.revision for each in processes.values()),
        examiner=examiner,
        processes={url: _by(examiner, each) for url, each in sorted(processes.items())},
    )


def interval(
    before: Snapshot,
    after: Snapshot,
    arms: Mapping[ArmName, str],
    *,
    seconds: float,
    share: float | None,
    mirrored: bool = False,
) -> Interval:
    """What the versions `arms` answered between two snapshots, see `gateway_metrics.interval`.

    Of several gateways, those count that are in both; one that came up in between counts from the next interval on.
    """
    pairs = _pairs(before, after)
    parts = [
        gateway_metrics.interval(first, second, arms, seconds=seconds, share=share, mirrored=mirrored)
        for first, second in pairs
    ]
    if len(parts) == 1:
        return parts[0]
    made = {name: added([part.arms[name] for part in parts]) for name in arms if parts}
    return Interval(seconds=seconds, share=share, arms=made)


def added(arms: list[Arm]) -> Arm:
    """The same arm at several gateways. A measure in forms that cannot be added (other bounds) is missing."""
    measures: dict[str, Measure] = {}
    for name in sorted({name for arm in arms for name in arm.measures}):
        total = _sum([arm.measures[name] for arm in arms if name in arm.measures])
        if total is not None:
            measures[name] = total
    requests, errors = sum(arm.requests for arm in arms), sum(arm.errors or 0 for arm in arms)
    return Arm(requests=requests, errors=errors, measures=measures)


def _check(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", RESOLVED) or not parts.hostname:
        raise BadInputError(
            "MASKER_GATEWAY_URL is wrong",
            got=url or "an empty address",
            allowed=f"http://HOST:PORT, https://…, {RESOLVED}://NAME:PORT, or several separated by commas",
        )


def _by(examiner: str, snapshot: Snapshot) -> Snapshot:
    if snapshot.examiner == examiner:
        return snapshot
    return snapshot.model_copy(update={"quality": {}, "mirrored_quality": {}})


def _pairs(before: Snapshot, after: Snapshot) -> list[tuple[Snapshot, Snapshot]]:
    """The readings of each process that is in both; one gateway alone is not the same as one of several."""
    if not before.processes and not after.processes:
        return [(before, after)]
    return [(before.processes[url], each) for url, each in after.processes.items() if url in before.processes]


def _sum(measures: list[Measure]) -> Measure | None:
    histograms = [each for each in measures if isinstance(each, Histogram)]
    if histograms:
        if len({each.bounds for each in histograms}) > 1:
            return None
        counts = tuple(map(sum, zip(*(each.counts for each in histograms), strict=True)))
        return Histogram(bounds=histograms[0].bounds, counts=counts)
    events = [each for each in measures if isinstance(each, Events)]
    if events:
        return Events(n=sum(each.n for each in events), events=sum(each.events for each in events))
    return _moments([each for each in measures if isinstance(each, Moments)])


def _moments(parts: list[Moments]) -> Moments:
    n = sum(part.n for part in parts)
    mean = math.fsum(part.n * (part.mean or 0.0) for part in parts) / n
    # Around the common mean: no difference of large squares.
    spread = math.fsum(part.n * ((part.var or 0.0) + ((part.mean or 0.0) - mean) ** 2) for part in parts)
    return Moments(n=n, mean=mean, var=spread / n)
