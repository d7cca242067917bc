from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integration.fleet_processes import free_ports

from identity_masker.errors import BadInputError
from identity_masker.serving.quota.ledgers import LocalLedger, RedisLedger
from identity_masker.serving.quota.rates import Rate, Rates, decide, load_rates
from identity_masker.settings import PROJECT

RATES = st.builds(Rate, per_second=st.floats(0.01, 1000.0), burst=st.integers(1, 50))
GAPS = st.lists(st.floats(0.0, 30.0), min_size=1, max_size=60)
# A whole burst, and then one in an hour: no test waits for the second.
SLOW = Rate(per_second=1 / 3600, burst=3)


def bucket(gaps: list[float], rate: Rate) -> list[bool]:
    """The same as a bucket of tokens that fills: another rule with the same decisions."""
    tokens, found = float(rate.burst), []
    for gap in gaps:
        tokens = min(rate.burst, tokens + gap * rate.per_second)
        # A hair: whoever asks exactly when a token is full is let through by both.
        found.append(tokens >= 1.0 - 1e-6 * rate.per_second)
        tokens -= found[-1]
    return found


@given(RATES, GAPS)
def test_it_lets_through_what_a_bucket_of_tokens_would(rate: Rate, gaps: list[float]) -> None:
    now, full_at, found = 1e9, 0.0, []
    for gap in gaps:
        now += gap
        full_at, decision = decide(full_at, now, rate)
        found.append(decision.allowed)
        assert 0 <= decision.remaining < rate.burst
        assert decision.allowed or decision.retry_after > 0.0
    assert found == bucket(gaps, rate)


@given(RATES)
def test_after_what_it_asks_to_wait_a_request_passes(rate: Rate) -> None:
    full_at = 0.0
    for _ in range(rate.burst):
        full_at, decision = decide(full_at, 100.0, rate)
        assert decision.allowed
    full_at, decision = decide(full_at, 100.0, rate)
    assert not decision.allowed
    assert decide(full_at, 100.0 + decision.retry_after, rate)[1].allowed


def taken(ledger: LocalLedger | RedisLedger, *clients: str, rate: Rate = SLOW) -> list[bool]:
    async def ask() -> list[bool]:
        return [(await ledger.take(client, rate)).allowed for client in clients]

    return asyncio.run(ask())


def test_clients_have_allowances_of_their_own() -> None:
    assert taken(LocalLedger(), "a", "a", "a", "a", "b") == [True, True, True, False, True]


def test_the_clients_seen_longest_ago_are_forgotten() -> None:
    ledger = LocalLedger(remembered=2)
    assert taken(ledger, "a", "a", "a", "a", "b", "c", "a") == [True, True, True, False, True, True, True]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    folder, port = tmp_path_factory.mktemp("redis"), free_ports(1)
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            _wait(port)
            yield f"redis://127.0.0.1:{port}/0", process
        finally:
            process.terminate()


def _wait(port: int) -> None:
    import socket

    deadline = time.monotonic() + 30
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_gateways_count_together_in_redis(redis: tuple[str, subprocess.Popen[bytes]]) -> None:
    async def ask() -> list[bool]:
        first, second = RedisLedger(redis[0]), RedisLedger(redis[0])
        found = [await ledger.take("both", SLOW) for ledger in (first, second, first, second)]
        await first.close()
        await second.close()
        assert [each.remaining for each in found] == [2, 1, 0, 0]
        assert 3500 < found[-1].retry_after <= 3600
        return [each.allowed for each in found]

    assert asyncio.run(ask()) == [True, True, True, False]


def test_a_burst_at_one_moment_is_never_exceeded(redis: tuple[str, subprocess.Popen[bytes]]) -> None:
    async def ask() -> int:
        ledgers = [RedisLedger(redis[0]) for _ in range(4)]
        rate = Rate(per_second=1 / 3600, burst=10)
        found = await asyncio.gather(*(ledger.take("crowd", rate) for ledger in ledgers for _ in range(10)))
        for ledger in ledgers:
            await ledger.close()
        return sum(decision.allowed for decision in found)

    assert asyncio.run(ask()) == 10


def test_while_redis_is_away_a_gateway_counts_for_itself() -> None:
    async def ask() -> list[bool]:
        ledger = RedisLedger(f"redis://127.0.0.1:{free_ports(1)}/0")
        found = [(await ledger.take("a", SLOW)).allowed for _ in range(4)]
        await ledger.close()
        return found

    assert asyncio.run(ask()) == [True, True, True, False]


def test_roles_have_rates_of_their_own() -> None:
    rates = load_rates(PROJECT / "include" / "config" / "quota.yaml")
    assert rates.of("service").burst > rates.of("nobody").burst == rates.default.burst


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default: {per_second: 0, burst: 1}", r"default\.per_second"),
        ("default: {per_second: .inf, burst: 1}", r"default\.per_second"),
        ("default: {per_second: 1, burst: 0}", r"default\.burst"),
        ("roles: {}", "default: Field required"),
        ("default: {", "not YAML"),
    ],
)
def test_quotas_that_cannot_be_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "quota.yaml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=message):
        load_rates(path)
    assert Rates(default=SLOW).of("x") == SLOW
