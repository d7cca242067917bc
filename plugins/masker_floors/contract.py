"""The contract of a step, from Airflow's side: its environment, its result, the meaning of its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from identity_masker import artifacts
from identity_masker.cli.step import result_uri
from identity_masker.errors import BadInputError, NotFoundError, TemporaryError
from identity_masker.settings import StepIdentity, settings

if TYPE_CHECKING:
    from airflow.sdk import Context

KILLED = {137: "killed by the system, most often for lack of memory", 143: "stopped from outside"}


def identity(context: Context) -> StepIdentity:
    """The task instance of `context`, as the step stores its result under it."""
    ti = context["ti"]
    return StepIdentity(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        try_number=ti.try_number,
    )


def environment(step: StepIdentity) -> dict[str, str]:
    """What a step learns about the task that it works for."""
    return {
        "MASKER_STEP_DAG_ID": step.dag_id,
        "MASKER_STEP_RUN_ID": step.run_id,
        "MASKER_STEP_TASK_ID": step.task_id,
        "MASKER_STEP_MAP_INDEX": str(step.map_index),
        "MASKER_STEP_TRY_NUMBER": str(step.try_number),
        "MASKER_CORRELATION_ID": step.run_id,
    }


def stored(step: StepIdentity) -> dict[str, Any] | None:
    """The copy of its result (or of its failure) that the step left in the store, if any."""
    uri = result_uri(settings().model_copy(update={"step": step}))
    try:
        document = artifacts.read_json(uri)
    except NotFoundError:
        return None
    return document if isinstance(document, dict) else None


def result(handed_over: Any, step: StepIdentity) -> dict[str, Any]:
    """The result of a step that ended with 0: what it handed over, else its stored copy (apache/airflow#73117).

    Raises `AirflowException` when there is neither: the tasks after this one must not run on nothing.
    """
    for document in (handed_over, stored(step)):
        if isinstance(document, dict) and document.get("status") != "failed":
            return document
    where = result_uri(settings().model_copy(update={"step": step}))
    raise AirflowException(
        f"the step ended with exit code 0 but without a result: got {handed_over!r} from it and nothing at {where}; "
        "to fix: check that the step and Airflow use the same MASKER_STORE_URI"
    )


def failure(exit_code: int | None, reason: str) -> AirflowException:
    """What to raise for a step that failed: 2 is never retried, everything else is, with back-off."""
    if exit_code == BadInputError.exit_code:
        return AirflowFailException(f"bad input or configuration, not retried: {reason}")
    if exit_code == TemporaryError.exit_code:
        return AirflowException(f"temporary failure, worth a retry: {reason}")
    if exit_code in KILLED:
        return AirflowException(f"{KILLED[exit_code]} (exit code {exit_code}): {reason}")
    return AirflowException(f"the step failed (exit code {exit_code}): {reason}")


def reason(document: Any, otherwise: str) -> str:
    """The step's own words for its failure, if it left any."""
    if isinstance(document, dict) and document.get("reason"):
        return str(document["reason"])
    return otherwise
