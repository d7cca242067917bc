"""`masker gateway`: the public address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from pydantic import BaseModel, ConfigDict, Field

from identity_masker.cli import step
from identity_masker.settings import Settings, settings

if TYPE_CHECKING:
    import socket

    from identity_masker.features.online_users import OnlineUsers
    from identity_masker.release.status import Status
    from identity_masker.serving.gateway import Gateway, GatewayConfig
    from identity_masker.serving.quota.limiter import Limiter


class Listening(BaseModel):
    """Where a gateway answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    operations_url: str = Field(description="Metrics, routing and release; the same as `url` without a port for them.")


@click.command()
@click.option("--host", help="Address to listen on.  [default: MASKER_HOST]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes any free one.  [default: MASKER_GATEWAY_PORT]")
@click.option(
    "--admin-port",
    type=click.IntRange(0, 65535),
    help="For metrics and operations, apart from the public.  [default: MASKER_GATEWAY_ADMIN_PORT]",
)
@click.option("--capacity", type=click.IntRange(1), default=512, show_default=True, help="Requests taken on at a time.")
@click.option("--drain-seconds", type=click.FloatRange(0, 600), default=0.5, show_default=True)
@click.option("--grace-seconds", type=click.FloatRange(0.1, 600), default=10.0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the addresses as JSON once the ports are open.")
def command(
    host: str | None,
    port: int | None,
    admin_port: int | None,
    capacity: int,
    drain_seconds: float,
    grace_seconds: float,
    as_json: bool,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C. It follows the routing table in the control database.

    With MASKER_TLS_CERTIFICATE and MASKER_TLS_KEY the public port speaks TLS.
    """
    from identity_masker.cli.authority import credentials, guarded
    from identity_masker.experiments.live import LiveExperiments
    from identity_masker.serving.gateway import Gateway
    from identity_masker.serving.gateway_routes import PERMISSIONS
    from identity_masker.serving.process import Runner, listen, tls
    from identity_masker.telemetry.tracing import exported

    config = settings()
    secured = tls(config.tls_certificate, config.tls_key)
    address = host or config.host
    listener = listen(address, config.gateway_port if port is None else port, variable="MASKER_GATEWAY_PORT")
    apart = config.gateway_admin_port if admin_port is None else admin_port
    admin = None if apart is None else listen(address, apart, variable="MASKER_GATEWAY_ADMIN_PORT")
    if as_json:
        url = f"{'https' if secured else 'http'}://{address}:{listener.getsockname()[1]}"
        operations = url if admin is None else f"http://{address}:{admin.getsockname()[1]}"
        step.finish(Listening(url=url, operations_url=operations), as_json=True)
    with (
        LiveExperiments(config.control_url) as experiments,
        guarded(PERMISSIONS) as guard,
        _known_users(config) as look_up,
        exported("masker-gateway", config.otlp_url, config.trace_share),
    ):
        gateway = Gateway(
            _taken(config, capacity), config.control_url, assign=experiments, look_up=look_up, guard=guard,
            limiter=_limiter(config), release=_release, credentials=credentials("gateway"),
            operations_apart=admin is not None,
        )  # fmt: skip
        runner = Runner(
            gateway.app, drain_seconds=drain_seconds, grace_seconds=grace_seconds, on_drain=gateway.drain, tls=secured
        )
        with _operations(gateway, admin):
            runner.serve_on(listener)


def _taken(config: Settings, capacity: int) -> GatewayConfig:
    from identity_masker.serving.characteristics import DEADLINE_SECONDS
    from identity_masker.serving.gateway import GatewayConfig

    return GatewayConfig(
        capacity=capacity, events_dir=config.events, unit_key=config.unit_key, examiner=config.examiner,
        quality_share=config.quality_share, quality_rate=config.quality_rate, example_seconds=config.example_seconds,
        lookup_seconds=config.lookup_seconds or DEADLINE_SECONDS,
        sample_share=config.sample_share,
        hedge_seconds=config.hedge_seconds,
    )  # fmt: skip


@contextmanager
def _operations(gateway: Gateway, listener: socket.socket | None) -> Iterator[None]:
    """Serve metrics and operations in a thread of their own: a scrape costs no picture any time."""
    if listener is None:
        yield
        return
    from identity_masker.serving.process import Runner

    runner = Runner(gateway.operations, drain_seconds=0, grace_seconds=1, on_drain=lambda: None)
    thread = threading.Thread(target=runner.serve_on, args=(listener,), name="operations")
    thread.start()
    try:
        yield
    finally:
        runner.stop()
        thread.join()


def _limiter(config: Settings) -> Limiter | None:
    """None where no token is required: this machine's own programs then are all one client."""
    if not config.auth_required:
        return None
    from identity_masker.serving.quota.ledgers import LocalLedger, RedisLedger
    from identity_masker.serving.quota.limiter import Limiter
    from identity_masker.serving.quota.rates import load_rates

    redis = config.redis_url
    ledger = RedisLedger(redis.get_secret_value()) if redis else LocalLedger()
    return Limiter(load_rates(config.config_dir / "quota.yaml"), ledger)


@contextmanager
def _known_users(config: Settings) -> Iterator[OnlineUsers | None]:
    """Who tells what is known of a user; None where nobody is to be looked up."""
    if not config.lookup_seconds:
        yield None
        return
    from identity_masker.features.online_users import OnlineUsers
    from identity_masker.features.places import FeaturePlaces

    online = config.online_store.get_secret_value() if config.online_store else ""
    users = OnlineUsers(FeaturePlaces(config.home, config.store, online))
    try:
        yield users
    finally:
        users.close()


def _release() -> Status:
    from identity_masker.release.driver import utc_now
    from identity_masker.release.status import status
    from identity_masker.serving.control import Control

    with Control(settings().control_url) as control:
        return status(control, settings().store, utc_now())
