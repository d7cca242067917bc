"""What of the embedded stack is running, and what of it is not healthy."""

from __future__ import annotations

from pydantic import BaseModel

from identity_masker.settings import Settings
from identity_masker.stack import services, supervisor
from identity_masker.stack.home import Home


class StackStatus(BaseModel):
    """`processes` maps each process to its state, as the process manager reports it."""

    home: str
    running: bool
    processes: dict[str, str]
    unhealthy: list[str]
    urls: dict[str, str]


def stack_status(config: Settings) -> StackStatus:
    """Look at the stack of this home. A stack that does not run is a state, not an error."""
    home = Home(config.home)
    found = supervisor.processes(home)
    return StackStatus(
        home=str(home.root),
        running=bool(found),
        processes={process.name: f"{process.state} {process.description}" for process in found},
        unhealthy=services.unready(config, services.airflow(config, home)) if found else [],
        urls=urls(config) if found else {},
    )


def urls(config: Settings) -> dict[str, str]:
    return {
        "airflow": f"http://{config.host}:{config.airflow_port}",
        "mlflow": config.tracking_uri,
        "masking API": f"http://{config.host}:{config.gateway_port}/docs",
    }
