"""`masker fleet`: the model servers of all deployed versions."""

from __future__ import annotations

import asyncio
import socket

import click

from identity_masker.cli import step
from identity_masker.settings import settings


@click.command()
@click.option(
    "--target", type=click.Choice(["local", "kubernetes"]), help="Processes here, or pods.  [default: MASKER_TARGET]"
)
@click.option("--host", help="Address that servers and metrics listen on.  [default: MASKER_HOST]")
@click.option("--first-port", type=click.IntRange(1, 65000), help="Of processes.  [default: MASKER_SERVER_PORT]")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    help="0 takes any free one.  [default: MASKER_FLEET_PORT]",
)
@click.option("--json", "as_json", is_flag=True, help="Print what runs as JSON before the first server starts.")
def command(
    target: str | None, host: str | None, first_port: int | None, metrics_port: int | None, as_json: bool
) -> None:
    """Keep the model servers alive that the control database asks for, until SIGTERM or Ctrl-C.

    `masker deploy` and `masker release` say what is wanted. Servers that crash are started again, later each time;
    those no longer wanted are drained. Processes end with their fleet; pods (include/config/serving.yaml) go on.
    """
    if (target or settings().target) == "kubernetes":
        _on_kubernetes(host, metrics_port, as_json)
    else:
        _here(host, first_port, metrics_port, as_json)


def _on_kubernetes(host: str | None, metrics_port: int | None, as_json: bool) -> None:
    from pydantic import BaseModel

    from identity_masker.cli.authority import credentials
    from identity_masker.serving.cluster import blueprint, fleet

    class Running(BaseModel):
        namespace: str
        image: str

    config = settings()
    made = blueprint.of(config)
    if as_json:
        step.finish(Running(namespace=config.serving_namespace, image=made.image), as_json=True)
    options = fleet.ClusterFleetConfig(
        host=host or config.host,
        metrics_port=config.fleet_port if metrics_port is None else metrics_port,
        credentials=credentials("fleet"),
    )
    asyncio.run(fleet.run(options, made, config.serving_namespace, config.control_url))


def _here(host: str | None, first_port: int | None, metrics_port: int | None, as_json: bool) -> None:
    from pydantic import BaseModel

    from identity_masker.cli.authority import credentials
    from identity_masker.serving import fleet
    from identity_masker.serving.replica import FleetConfig

    class Running(BaseModel):
        owner: str
        first_port: int

    config = settings()
    options = FleetConfig(
        owner=f"{socket.gethostname()}:{config.home}"[:200],
        control_url=config.control_url,
        folder=config.home / "fleet",
        host=host or config.host,
        first_port=first_port or config.server_port,
        metrics_port=config.fleet_port if metrics_port is None else metrics_port,
        credentials=credentials("fleet"),
    )
    if as_json:
        step.finish(Running(owner=options.owner, first_port=options.first_port), as_json=True)
    asyncio.run(fleet.run(options))
