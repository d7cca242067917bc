"""A step as a pod: `KubernetesPodOperator` with the step's contract on top."""

from __future__ import annotations

import os
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator  # noqa: TID253 - plugins/.airflowignore
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowFailException
from kubernetes.client import ApiException  # noqa: TID253

from identity_masker.errors import BadInputError
from identity_masker.settings import StepIdentity, settings
from masker_floors import contract, manifest, pods

if TYPE_CHECKING:
    from airflow.sdk import Context

    from masker_step import MaskerStep

TRY_KEY = "masker_try_number"
CLUSTER_OPTIONS = ("in_cluster", "kube_config", "kube_config_path")
ACTIVE = {"Pending", "Running"}


class PodFloor(KubernetesPodOperator):
    """One attempt of a step in a pod.

    Beyond its parent it gives exit codes their meaning, falls back to the stored result when the XCom is lost
    (apache/airflow#73117), and leaves no running pod behind when the task ends: its parent keeps the pod of a
    timed-out task when only succeeded pods are to be deleted.
    """

    # What is seen of the pod when it ends.
    exit_code: int | None = None
    ended_because: str = ""
    handed_over: Any = None

    @classmethod
    def of(cls, step: MaskerStep, connection: str) -> Self:
        """The pod for `step`. Raises `AirflowFailException` when pods.yaml or Airflow's environment is wrong."""
        try:
            described = manifest.of(
                pods.read(settings().config_dir),
                hardware=step.hardware,
                task_id=step.task_id,
                timeout=step.execution_timeout,
                outer=dict(os.environ),
            )
        except BadInputError as error:
            raise AirflowFailException(str(error)) from error
        return cls(
            task_id=step.task_id,
            kubernetes_conn_id=connection,
            arguments=step.arguments(),
            **described,
        )

    def run(self, context: Context) -> dict[str, Any]:
        """Make the pod, or find the one of an attempt that died, and wait for it: in the triggerer, if deferrable."""
        step = contract.identity(context)
        self.env_vars = [*self.env_vars, *manifest.environment(contract.environment(step))]
        # `execute_async` comes back only when the pod had ended before it could be deferred.
        wait = self.execute_async if self.deferrable else self.execute_sync
        return self._concluded(step, lambda: wait(context))

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Take up the pod again after its trigger fired."""
        step = contract.identity(context)
        number = event.get(TRY_KEY) or step.try_number
        step = step.model_copy(update={"try_number": number})
        return self._concluded(step, lambda: self.trigger_reentry(context, event))

    def kill(self) -> None:
        self.on_kill()

    def convert_config_file_to_dict(self) -> None:
        # The parent sends the file named by KUBECONFIG to the triggerer, which refuses it beside the connection's own.
        extra = Connection.get(self.kubernetes_conn_id or "").extra_dejson
        if not any(extra.get(option) for option in CLUSTER_OPTIONS):
            super().convert_config_file_to_dict()  # type: ignore[no-untyped-call]

    def invoke_defer_method(self, last_log_time: Any = None, context: Context | None = None) -> None:
        # The pod may be an earlier try's; by the time it has ended it may be gone, and its labels with it.
        self.trigger_kwargs = {**(self.trigger_kwargs or {}), TRY_KEY: self._try_number_of_pod()}
        super().invoke_defer_method(last_log_time=last_log_time, context=context)

    def cleanup(self, pod: Any, remote_pod: Any, xcom_result: Any = None, context: Any = None) -> None:
        # Called once the pod has ended, whichever way; from here on the parent knows no exit code.
        self.handed_over = xcom_result
        status = remote_pod.status if remote_pod else None
        for container in (status and status.container_statuses) or []:
            if container.name == self.base_container_name and container.state.terminated:
                self.exit_code = container.state.terminated.exit_code
                self.ended_because = container.state.terminated.reason or ""
        super().cleanup(pod, remote_pod, xcom_result=xcom_result, context=context)

    def _concluded(self, step: StepIdentity, wait: Callable[[], object]) -> dict[str, Any]:
        """The result of the step once `wait` returns, or its failure with the meaning of its exit code."""
        try:
            wait()
        except Exception as error:  # a deferral is none: `TaskDeferred` is a BaseException
            self._delete_if_active()
            self._raise_failure(step, error)
            self.log.warning("The step succeeded, but Airflow could not take over its result: %s", error)
        number = self._try_number_of_pod() or step.try_number
        return contract.result(self.handed_over, step.model_copy(update={"try_number": number}))

    def _raise_failure(self, step: StepIdentity, error: Exception) -> None:
        """Raise what the failure means; return when the step itself succeeded."""
        if self.exit_code == 0:
            return
        exit_code, document = self.exit_code, self.handed_over
        if exit_code is None:  # the pod is gone, or never ended; the step may have left word
            document = contract.stored(step)
            exit_code = (document or {}).get("exit_code")
        if exit_code is None:
            raise error
        otherwise = f"{self.ended_because}: {error}" if self.ended_because else str(error)
        raise contract.failure(exit_code, contract.reason(document, otherwise)) from error

    def _try_number_of_pod(self) -> int | None:
        labels = (self.pod.metadata.labels or {}) if self.pod else {}
        return int(labels["try_number"]) if "try_number" in labels else None

    def _delete_if_active(self) -> None:
        """Delete the pod unless its step has ended: a task that is over must not leave a pod that holds a GPU."""
        if self.pod is None or self.exit_code is not None:
            return
        name, namespace = self.pod.metadata.name, self.pod.metadata.namespace
        try:
            if self.hook.get_pod(name, namespace).status.phase in ACTIVE:
                self.log.info("Deleting pod %s, which has not ended", name)
                self.client.delete_namespaced_pod(name, namespace, grace_period_seconds=self.termination_grace_period)
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
