"""A stage of a rollout as a task: it moves the rollout, and holds no worker slot while there is nothing to do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator, Connection
from airflow.sdk.exceptions import AirflowException

from masker_smoke import REQUEST_TIMEOUT_S, address, bearer

if TYPE_CHECKING:
    from airflow.sdk import Context

    from masker_floors.process import ProcessFloor

OPERATIONS = "operations_port"
"""In the connection's extra: where the gateway tells its routing, when not on its public port."""

# Shorter waits are waited out in the process: handing over to the triggerer and back takes a few seconds.
PATIENCE_S = 8


class RolloutStage(BaseOperator):
    """Take the rollout under way through its stage `stage`: -1 is the deployment, None everything to the end.

    Each step is `masker release advance`, a process beside Airflow also where heavy steps are pods: it takes seconds
    once an interval, and a pod would take longer to start. Between the steps the task is deferred. A stage that is over
    already, and a rollout that has ended, are no work: the task may be cleared, repeated and resumed.

    Returns the progress of the rollout.
    """

    template_fields = ("stage",)
    ui_color = "#e7f5d9"

    def __init__(self, *, stage: int | None = None, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.stage = stage
        self._process: ProcessFloor | None = None

    def execute(self, context: Context, event: object = None) -> dict[str, Any]:
        """Advance; `event` is what the trigger says when the wait is over, and does not matter."""
        progress = self._advance(context)
        over = progress["ended"] or (self.stage is not None and progress["position"] > int(self.stage))
        if not over:
            self._sleep(progress["wait_seconds"], progress["doing"])
        return progress

    def _sleep(self, seconds: float, why: str) -> NoReturn:
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        self.log.info("%s; again in %.0f s", why, seconds)
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=seconds)), method_name="execute")

    def _advance(self, context: Context) -> dict[str, Any]:
        from masker_floors.process import ProcessFloor

        until = [] if self.stage is None else ["--until-stage", str(self.stage)]
        self._process = ProcessFloor(["release", "advance", "--for", str(PATIENCE_S), *until], log=self.log)
        return self._process.run(context)

    def on_kill(self) -> None:
        if self._process is not None:
            self._process.kill()


def champion(connection: str) -> str | None:
    """The version that has the traffic, as the gateway says; None before the first deployment.

    Raises `AirflowException` (retried) when the gateway does not answer.
    """
    import httpx

    gateway = Connection.get(connection)
    url = address(gateway, OPERATIONS) + "/v1/routing"
    try:
        answer = httpx.get(url, headers=bearer(gateway), timeout=REQUEST_TIMEOUT_S)
    except httpx.TransportError as error:
        raise AirflowException(f"{url} does not answer: {error}; to fix: check the connection {connection}") from error
    if answer.status_code == httpx.codes.OK:
        table = answer.json()
        return str(table["variants"][table["champion"]]["version"])
    if answer.json().get("reason") == "no_model":
        return None
    raise AirflowException(f"{url} cannot tell the champion: {answer.status_code} {answer.text[:300]}")
