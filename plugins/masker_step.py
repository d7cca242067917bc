"""The one operator for heavy steps: a pod when there is a cluster, a local process when there is none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from airflow.sdk import BaseOperator, Connection
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowRuntimeError,
    ErrorType,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from masker_floors.pod import PodFloor

KUBERNETES_CONNECTION = "kubernetes_masker"


class Floor(Protocol):
    """Where one attempt of a step runs."""

    def run(self, context: Context) -> dict[str, Any]: ...

    def kill(self) -> None: ...


class MaskerStep(BaseOperator):
    """Run `masker COMMAND operand … --option value …` and return its result.

    With the Airflow connection `kubernetes_masker` the step is a deferrable `KubernetesPodOperator`; without it, a
    process beside Airflow. Both give the command the same environment, read the same result and give its exit code
    the same meaning: 2 fails without a retry, 75 and everything else is retried. The floor is chosen when the
    task runs, so parsing a DAG file needs neither the connection nor the Kubernetes client.

    :param command: what follows `masker`, for example `data ingest`. (templated)
    :param operands: what the command works on, given without a name. (templated)
    :param options: long options by name without dashes; those that render to nothing are left out. (templated)
    :param hardware: the class of include/config/pods.yaml that says what a pod gets.
    """

    template_fields = ("command", "operands", "options")
    template_fields_renderers = {"operands": "json", "options": "json"}  # noqa: RUF012 - Airflow's own class attribute
    ui_color = "#d9e7f5"

    # The step's own timeout is what its pod and its process are stopped by: a step without one may hang for ever.
    execution_timeout: timedelta

    def __init__(
        self,
        *,
        command: str,
        operands: Sequence[Any] = (),
        options: Mapping[str, Any] | None = None,
        hardware: str = "cpu",
        **kwargs: Any,
    ) -> None:
        # One XCom a field too: a later task asks for `step.output["version"]`.
        super().__init__(multiple_outputs=True, **kwargs)
        if self.execution_timeout is None:
            raise ValueError(f"the step {self.task_id} has no execution_timeout: it could hang for ever")
        self.command = command
        self.operands = list(operands)
        self.options = dict(options or {})
        self.hardware = hardware
        self._floor: Floor | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        refuse_unknown_parameters(context["dag_run"].conf or {}, context["dag"].params)
        self._floor = self._pod() if has_cluster() else self._process()
        return self._floor.run(context)

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Take up the pod again when its trigger has fired."""
        pod = self._pod()
        self._floor = pod
        return pod.resume(context, event)

    def on_kill(self) -> None:
        if self._floor is not None:
            self._floor.kill()

    def arguments(self) -> list[str]:
        """The arguments of `masker`, once templates are rendered."""
        given = {name: value for name, value in self.options.items() if value is not None and value != ""}
        operands = [str(operand) for operand in self.operands]
        return [
            *self.command.split(),
            *operands,
            *(part for name, value in given.items() for part in (f"--{name}", str(value))),
        ]

    def _pod(self) -> PodFloor:
        from masker_floors.pod import PodFloor

        return PodFloor.of(self, KUBERNETES_CONNECTION)

    def _process(self) -> Floor:
        from masker_floors.process import ProcessFloor

        return ProcessFloor(self.arguments(), log=self.log)


def refuse_unknown_parameters(given: Mapping[str, Any], known: Collection[str]) -> None:
    """Fail a run whose configuration names what the DAG does not have; Airflow itself lets a mistyped name pass.

    Raises `AirflowFailException`, which is not retried.
    """
    if unknown := sorted(set(given) - set(known)):
        raise AirflowFailException(
            f"the DAG has no such parameter; got {', '.join(unknown)}; expected {', '.join(sorted(known)) or 'none'}; "
            "to fix: trigger it again with the right name"
        )


def has_cluster() -> bool:
    """Whether the connection to a cluster exists.

    Airflow says "not found" also when its API server did not answer. Taken at its word, a moment's trouble would
    start the training of a model on the Airflow worker, so only a definite answer counts.

    Raises `AirflowException` (retried) when there is none.
    """
    try:
        Connection.get(KUBERNETES_CONNECTION)
    except AirflowNotFoundException:
        reason = _doubt()
        if reason is None:
            return False
        raise AirflowException(
            f"cannot tell whether the connection {KUBERNETES_CONNECTION} exists; Airflow answered: {reason}"
        ) from None
    return True


def _doubt() -> str | None:
    """Why a "not found" may be untrue; None when it is certain."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection

    supervisor = getattr(task_runner, "SUPERVISOR_COMMS", None)
    if supervisor is None:  # outside of a task run only the environment is asked
        return None
    try:
        answer = supervisor.send(GetConnection(conn_id=KUBERNETES_CONNECTION))
    except AirflowRuntimeError as error:
        answer = error.error
    if isinstance(answer, ErrorResponse) and answer.error == ErrorType.CONNECTION_NOT_FOUND:
        return None
    return str(answer)
